"""Tells other processes of deleted and changed uploads: the InvalidationBus port and its adapters."""
