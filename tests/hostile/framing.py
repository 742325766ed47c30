"""Requests whose end, length or form two servers could read differently. `SMUGGLED` may follow as a hidden request."""

POST = "POST /images/upload HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

FRAMING = {
    "two kinds of length": f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"{POST}Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd{SMUGGLED}",
    "one length twice": f"{POST}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": f"{POST}Content-Length: 0, 37\r\n\r\n{SMUGGLED}",
    "a signed length": f"{POST}Content-Length: +5\r\n\r\nabcde",
    "a negative length": f"{POST}Content-Length: -1\r\n\r\nabcde",
    "a hexadecimal length": f"{POST}Content-Length: 0x5\r\n\r\nabcde",
    "a length beyond numbers": f"{POST}Content-Length: 1{'0' * 26}\r\n\r\nabcde",
    "an unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": f"{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a chunk of negative size": f"{POST}Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "a chunk without a size": f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "a chunk beyond numbers": f"{POST}Transfer-Encoding: chunked\r\n\r\n{'f' * 17}\r\nabc\r\n0\r\n\r\n",
    "chunks of bare line feeds": f"{POST}Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "bare line feeds": "GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare carriage return": "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "a folded header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "a NUL in a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "a NUL in the path": "GET /hea\0lthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a raw byte in the path": "GET /hea\xfflthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the path": "GET /healthz x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/0.9": "GET /healthz\r\n\r\n",
    "HTTP/0.9, by name": "GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2, without its preface": "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in lower case": "get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": "STEAL /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": "CONNECT evil.test:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + "\0" * 100,
}
