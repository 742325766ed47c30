"""Finds a variant, or derives and stores it once for all concurrent requests."""
