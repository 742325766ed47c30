"""Warm-up jobs: the queue, the work and the worker."""
