"""Protocol between Darkroom and nginx for removing variants from nginx's cache (nginx.conf, `$forgets`)."""

FORGET_PATH = "/edge/forgotten"
FORGET_HEADER = "X-Edge-Forget"
"""Header of requests that make nginx forget a variant, with EDGE_SECRET as its value, and of their responses."""

FORGOTTEN_AGE = 1
"""The `max-age` of the 404 in the place of a variant: the least for which nginx caches."""

FORGOTTEN_SECONDS = 2
"""Seconds for which nginx keeps the 404 at most, because it counts whole seconds."""
