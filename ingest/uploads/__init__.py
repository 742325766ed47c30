"""Uploads: received, validated, stored, recorded and deleted."""
