"""Warm-up jobs: their states, the work, and who does it."""
