"""Files of the page and of `/docs` are sent whole, whatever range a request asks for."""

import pytest

from ingest.web.docs import DOCS_PATHS
from ingest.web.page import PAGE_PATHS
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("path", [*PAGE_PATHS, *DOCS_PATHS])
async def test_range_is_ignored(service: Service, path: str) -> None:
    whole = await service.get(path)

    for value in ("bytes=0-9", "bytes=999999999-", "bytes=5-1", "bytes=x"):
        answer = await service.get(path, range=value)

        assert (answer.status_code, answer.content) == (200, whole.content)
        assert answer.headers["content-type"] == whole.headers["content-type"]
        assert answer.headers["cache-control"] == whole.headers["cache-control"]
        assert answer.headers.keys().isdisjoint({"accept-ranges", "content-range"})
