"""Searches for the lowest quality at which a variant still looks like its original."""
