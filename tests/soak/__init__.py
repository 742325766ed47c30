"""Long runs before a release, for instance `python -m tests.soak.workers`. Tests run short samples of them."""
