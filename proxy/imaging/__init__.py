"""Decoding, resizing and encoding. The only package that uses Pillow; it runs in render workers."""
