"""Uploads, jobs and warm-up: what comes before the first request. May import `proxy`; never the other way."""
