"""An API key, sent in the right and in wrong places, is never disclosed."""

import pytest

from tests.hostile.wire import exchange, request, upload
from tests.http_client import http
from tests.service import Service, darkroom

KEY = "canary-7d1f0c-7d1f0c"


@pytest.mark.slow
def test_api_key_appears_in_no_response_log_metric_or_file(
    tmp_path_factory: pytest.TempPathFactory, picture: bytes
) -> None:
    folder = tmp_path_factory.mktemp("locked")
    settings = {
        "API_KEYS": f"{KEY},another-another-another",
        "WARM_UP": "false",
        "RENDER_PROCESSES": "1",
        "LOG_LEVEL": "debug",
    }
    right = f"Authorization: Bearer {KEY}"
    with Service(folder, **settings) as service:
        raws = {
            "right": upload(picture, right),
            "right, of a broken picture": upload(picture[:500], right),
            "right, of no picture": upload(KEY.encode(), right),
            "right, in a file's name": upload(picture, right, filename=f"{KEY}.jpg"),
            "right, for nothing": request("GET", "/nowhere", right),
            "right, for an unknown upload": request("DELETE", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", right),
            "another scheme": request("GET", "/images", f"Authorization: Basic {KEY}"),
            "too long": request("GET", "/images", f"Authorization: Bearer {KEY}x"),
            "another header": request("GET", "/images", f"X-Api-Key: {KEY}", f"Cookie: key={KEY}"),
            "the query": request("GET", f"/images?key={KEY}&cursor={KEY}"),
            "the query, with the right one": request("GET", f"/images?cursor={KEY}&limit={KEY}", right),
            "the path": request("GET", f"/images/{KEY}"),
            "the path, with the right one": request("GET", f"/images/{KEY}/status", right),
            "a variant's path": request("GET", f"/images/{KEY}/{KEY}.jpg", right),
            "the host": request("GET", f"http://{KEY}.test/images", right),
            "the method": request(KEY, "/images"),
            "a broken head": f"GET /images HTTP/1.1\r\n{right}\r\nX: a\rb\r\n\r\n".encode(),
            "a large head": request("GET", "/images", right, f"X: {'x' * 40_000}"),
        }
        answers = {name: exchange(service.url, raw) for name, raw in raws.items()}
        metrics = http.get(f"{service.url}/metrics", headers={"Authorization": f"Bearer {KEY}"})
        service.stop()

    assert answers["right"].statuses == [201]
    assert answers["another header"].statuses == answers["the query"].statuses == [401]
    assert {name for name, answer in answers.items() if KEY.encode() in answer.received} == set()
    assert metrics.status_code == 200
    assert KEY not in metrics.text
    assert KEY not in service.log()
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    for options in ((), ("--json",)):
        assert KEY not in darkroom(folder, "config", *options, **settings).stdout
