"""Accepts uploads, runs their warm-up jobs and maintains the installation. Imports `proxy`, which never imports it."""
