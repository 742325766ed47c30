"""The origin: one original per upload, every variant derived on its first request."""
