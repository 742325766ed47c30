"""What several suites share: servers, started once for the session and only when a test asks."""

from collections.abc import Iterator

import pytest

from tests.seaweedfs import SeaweedServer


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedServer]:
    with SeaweedServer() as server:
        yield server
