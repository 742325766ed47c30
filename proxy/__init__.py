"""The image origin: serves variants and derives each on its first request."""
