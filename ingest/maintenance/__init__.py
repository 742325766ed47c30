"""Operator tasks: checks, garbage collection, refreshing stale variants."""
