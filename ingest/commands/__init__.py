"""What the commands do, once `cli` has read the line: each composes what it needs, and closes it."""
