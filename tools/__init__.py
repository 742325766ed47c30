"""What maintainers run: the bill of materials, the audit of the lock files, the digests of base images."""
