"""The search for the lowest quality whose variant still looks like the original."""
