"""The catalog: the database of uploads and their jobs. The proxy never reads it."""
