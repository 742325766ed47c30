"""What Darkroom and nginx have agreed on, to remove variants from nginx's cache (nginx.conf, `$forgets`)."""

FORGET_PATH = "/edge/forgotten"
FORGET_HEADER = "X-Edge-Forget"
"""Of requests that make nginx forget a variant, with EDGE_SECRET, and of the response to them."""

FORGOTTEN_SECONDS = 1
"""How long nginx keeps the 404 in the place of a variant. It keeps nothing for less."""
