"""One HTTP client for all tests of real servers.

`httpx.get` builds a client for each call, and with it a TLS context: 60 ms of CPU (httpx 0.28, OpenSSL 3). This one
is built once. It keeps no connection, so that each request meets the server as it is now, also after a restart.
"""

import httpx

http = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
