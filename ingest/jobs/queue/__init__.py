"""The WarmUpQueue port, which delivers jobs to workers, and its adapters."""
