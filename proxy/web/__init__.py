"""The proxy's HTTP layer; no other part of the proxy uses Starlette."""
