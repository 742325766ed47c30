"""The database: which uploads there are and how far their jobs have come. The proxy never reads it."""
