"""Long runs, for the closing note of a release: `python -m tests.soak.workers`. The suite runs them shortened."""
