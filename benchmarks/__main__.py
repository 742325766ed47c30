"""Runs every benchmark and prints Markdown tables: interleaved runs, medians, ratios."""

from benchmarks import derivation, http

if __name__ == "__main__":
    derivation.main()
    http.main()
