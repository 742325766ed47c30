"""Decoding, scaling and encoding. The only place that knows Pillow; all of it runs in render processes."""
