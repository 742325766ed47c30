"""The processes that run `proxy.imaging`, limited in memory and time."""
