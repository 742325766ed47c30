"""How a worker learns of jobs: the WarmupQueue port and its adapters."""
