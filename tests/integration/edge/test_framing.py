"""Ambiguous requests through nginx: the origin never finds another request in them."""

import contextlib
import time

import pytest

from tests.hostile.framing import FRAMING, SMUGGLED
from tests.hostile.wire import connect
from tests.nginx import StubOrigin


@pytest.mark.promise("D1", "D2")
@pytest.mark.slow
@pytest.mark.parametrize("raw", FRAMING.values(), ids=FRAMING)
def test_ambiguous_framing_smuggles_nothing_past_nginx(stub: StubOrigin, stub_edge: str, raw: str) -> None:
    with connect(stub_edge) as connection, contextlib.suppress(OSError):
        connection.sendall(raw.encode("latin-1"))
        connection.settimeout(2)
        connection.recv(1)
        time.sleep(0.1)  # time for a second request, if nginx forwarded one

    assert sum(stub.paths().values()) <= 1
    assert SMUGGLED.split()[1] not in stub.paths()
    for asked in stub.asked:
        assert SMUGGLED.encode() not in asked.body
        assert not {"content-length", "transfer-encoding"} <= asked.headers.keys()
