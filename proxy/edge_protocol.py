"""What Darkroom and nginx have agreed on, to remove variants from nginx's cache (nginx.conf, `$forgets`)."""

FORGET_PATH = "/edge/forgotten"
FORGET_HEADER = "X-Edge-Forget"
"""Of requests that make nginx forget a variant, with EDGE_SECRET, and of the response to them."""

FORGOTTEN_AGE = 1
"""Seconds for which nginx is told to keep the 404 in the place of a variant. It keeps nothing for less."""

FORGOTTEN_SECONDS = 2
"""How long it keeps it at most: it counts whole seconds."""
