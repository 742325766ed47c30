"""The HTTP side of ingest."""
