"""Finding a variant, or deriving and storing it: once, however many ask."""
