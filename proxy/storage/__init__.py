"""Where originals and variants are kept: the ObjectStore port and its adapters."""
