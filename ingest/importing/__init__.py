"""`darkroom import`: many existing images become uploads, each source exactly one (docs/decisions/0043)."""
