"""The programs to compare with and to measure with, each installed from its own lock file into `benchmarks/.peers`."""
