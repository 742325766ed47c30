"""Ingest over HTTP: its apps, the API's calls, and the upload page."""
