"""One derivation for each variant across processes: the KeyLock port and its adapters."""
