"""Uploads: receiving, validating, storing, recording and deleting them."""
