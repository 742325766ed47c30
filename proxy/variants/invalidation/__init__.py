"""Tells other processes of deleted uploads: the InvalidationBus port and its adapters."""
