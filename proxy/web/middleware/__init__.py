"""ASGI middleware: API keys, the allowed `Host`, logs and metrics of requests, security headers."""
