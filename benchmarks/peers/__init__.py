"""What Darkroom is measured against and with: each from its own lock file, installed into `benchmarks/.peers`."""
