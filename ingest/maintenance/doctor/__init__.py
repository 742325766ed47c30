"""Checks what Darkroom depends on, as it depends on it, and says what to mend. One file for each thing examined."""
