"""One HTTP client for all tests of real servers.

`httpx.get` builds a client and a TLS context for each call: 60 ms of CPU (httpx 0.28, OpenSSL 3). This one is built
once. It keeps no connections, so that requests work after a server's restart.
"""

import httpx

from tests.waiting import GUARD

http = httpx.Client(verify=False, trust_env=False, timeout=GUARD, limits=httpx.Limits(max_keepalive_connections=0))
