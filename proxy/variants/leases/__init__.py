"""Leases, so that one process at a time derives a variant: the LeaseStore port and its adapters."""
