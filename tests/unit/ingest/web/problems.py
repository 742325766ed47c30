"""Checks a response that is a problem document."""

from tests.unit.ingest.web.conftest import Service

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def assert_problem(service: Service, method: str, path: str, status: int, code: str) -> str:
    async with service.client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    return str(answer.json()["detail"])
