"""Announcements of deleted uploads: the port and its adapters."""
