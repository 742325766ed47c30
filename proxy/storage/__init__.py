"""Storage of originals and variants: the ObjectStore port and its adapters."""
