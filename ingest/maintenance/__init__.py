"""What operators run: checks, garbage collection, refreshing stale variants."""
