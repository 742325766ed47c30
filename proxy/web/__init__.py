"""HTTP. The only layer that knows Starlette."""
