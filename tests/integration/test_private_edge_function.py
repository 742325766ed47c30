"""deploy/private-edge.js and the function PrivateCaching of deploy/cloudfront.yaml, run by Node and by njs."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from darkroom.signing import signature
from ingest.edge import rules
from proxy.model import Fit, Format, Size, Sizes, UploadId
from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS
from tests.conftest import need

DEPLOY = Path(__file__).parents[2] / "deploy"
FUNCTION = (DEPLOY / "private-edge.js").read_text()
PACKAGES = {"node": "nodejs", "njs": "njs"}
NEW, OLD = "n" * 32, "o" * 32
UPLOAD = UploadId(str(uuid4()))
DAY = 86_400


class Edge:
    """The functions, run by one engine. Its key-value store has two keys."""

    def __init__(self, program: str, script: Path) -> None:
        self._program = program
        self._script = script

    def verify(
        self, *requests: dict[str, Any], keys: str = f"{NEW}, {OLD}", code: str = FUNCTION
    ) -> list[dict[str, Any]]:
        """Returns the request or response that CloudFront would continue with."""
        assert code.count("import cf from 'cloudfront';") == 1
        store = f"{{ get: async name => ({{ 'signing-keys': {json.dumps(keys)} }})[name] }}"
        stub = f"const cf = {{ kvs: () => ({store}) }};"
        return self._run(code.replace("import cf from 'cloudfront';", stub), [{"request": each} for each in requests])

    def finish(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the responses that CloudFront would send."""
        return self._run(_caching_function(), list(events))

    def _run(self, code: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # Without `await` of its own, at which njs 0.7 crashes.
        print_all = (
            "events.reduce((before, event) => before.then(() => handler(event)).then(answer => "
            "console.log(JSON.stringify(answer))), Promise.resolve());"
        )
        self._script.write_text(f"{code}\nconst events = {json.dumps(events)};\n{print_all}\n")
        output = subprocess.run([self._program, self._script], capture_output=True, text=True, timeout=30, check=False)
        assert output.returncode == 0, output.stderr + output.stdout
        return [json.loads(line) for line in output.stdout.splitlines()]


def _caching_function() -> str:
    class Loader(yaml.SafeLoader):
        """Ignores CloudFormation's tags."""

    Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)
    template = yaml.load((DEPLOY / "cloudfront.yaml").read_text(), Loader)
    return str(template["Resources"]["PrivateCaching"]["Properties"]["FunctionCode"])


@pytest.fixture(params=sorted(PACKAGES))
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Edge:
    program = shutil.which(request.param)
    need(program, PACKAGES[request.param])
    return Edge(str(program), tmp_path / "script.js")


def token(seconds: float = 1000, key: str = NEW, upload_id: UploadId = UPLOAD) -> str:
    """Also with keys that `sign_token` refuses."""
    expires = int(time.time() + seconds)
    return f"v1.{expires}.{signature(key, f'v1:{upload_id}:{expires}')}"


def request(name: str, given: object = None) -> dict[str, Any]:
    query = {} if given is None else {"token": given if isinstance(given, dict) else {"value": given}}
    path = name if name.startswith("/") else f"/private/{UPLOAD}/{name}"
    return {"method": "GET", "uri": path, "querystring": query, "headers": {"accept": {"value": "image/webp"}}}


def test_token_of_either_key_opens_the_path(edge: Edge) -> None:
    requests = [request("small.jpg", token()), request("medium@2x.auto", token(key=OLD))]

    assert [each["uri"] for each in edge.verify(*requests)] == [
        f"/private/{UPLOAD}/small.jpg",
        f"/private/{UPLOAD}/medium@2x.webp",
    ]


def test_formats_of_a_size_are_those_that_it_has(edge: Edge) -> None:
    sizes = Sizes(Size("icon", 9, 9, Fit.COVER, formats=(Format.PNG, Format.AVIF)))
    requests = [request("icon.auto", token()), request("icon.png", token())]
    lacking = [request(name) for name in ("icon.webp", "icon@2x.jpg", "icon.jpeg")]

    answers = edge.verify(*requests, *lacking, code=rules.cloudfront(sizes, private=True))

    assert [answer.get("uri") for answer in answers[:2]] == [f"/private/{UPLOAD}/icon.{end}" for end in ("auto", "png")]
    assert [answer.get("statusCode") for answer in answers[2:]] == [404] * 3


def test_anything_else_is_refused_at_the_edge(edge: Edge) -> None:
    valid = token()
    tokens: list[object] = [
        None,
        "",
        token(-1),
        token(key="x" * 32),
        token(upload_id=UploadId(str(uuid4()))),
        valid[:-1] + ("A" if valid[-1] != "A" else "B"),
        valid[:-1],
        f"{valid}=",
        valid.replace("v1.", "v2."),
        valid.replace("v1.", "v1.0"),
        {"value": valid, "multiValue": [{"value": valid}, {"value": valid}]},
    ]
    requests = [request(name, each) for each in tokens for name in ("small.jpg", "small.auto", "small.jpeg")]
    for sent, answer in zip(requests, edge.verify(*requests), strict=True):
        assert answer.get("statusCode") == 403, sent
        assert answer["headers"]["cache-control"]["value"] == "no-store"
        assert json.loads(answer["body"])["code"] == "forbidden"
        for name, value in CROSS_ORIGIN_HEADERS.items():
            assert answer["headers"][name.lower()]["value"] == value


@pytest.mark.parametrize("keys", [f"{NEW},", f"{NEW}, ,", f",{NEW}", f"{NEW}\n", "", "short"])
def test_empty_key_opens_nothing(edge: Edge, keys: str) -> None:
    """As a trailing comma leaves one."""
    requests = [request("small.jpg", token(key=each)) for each in ("", "short", " ")]
    assert {answer.get("statusCode") for answer in edge.verify(*requests, keys=keys)} == {403}


@pytest.mark.parametrize("keys", [f"{NEW},", f" {OLD}\n{NEW} ", f"{OLD},{NEW}"])
def test_keys_are_read_as_the_server_reads_them(edge: Edge, keys: str) -> None:
    assert edge.verify(request("small.jpg", token()), keys=keys)[0]["uri"] == f"/private/{UPLOAD}/small.jpg"


def test_other_paths_are_not_found(edge: Edge) -> None:
    paths = ("huge.jpg", f"/images/{UPLOAD}/small.jpg", f"/originals/{UPLOAD}", "/private/verify", "/images/upload")
    for answer in edge.verify(*(request(path, token()) for path in paths)):
        assert answer["statusCode"] == 404


def test_jpeg_redirects_with_the_token(edge: Edge) -> None:
    given = token()
    [answer] = edge.verify(request("small.jpeg", given))

    assert answer["statusCode"] == 308
    assert answer["headers"]["location"]["value"] == f"small.jpg?token={given}"
    assert answer["headers"]["cache-control"]["value"] == "no-store"


def test_browsers_keep_a_variant_as_long_as_from_the_proxy(edge: Edge) -> None:
    cases = [(500, 200), (30 * DAY, 200), (30 * DAY, 206), (30 * DAY, 304), (-1, 200), (500, 404)]
    events = [
        {
            "request": request("small.jpg", token(seconds)),
            "response": {"statusCode": status, "headers": {"cache-control": {"value": "private, max-age=86400"}}},
        }
        for seconds, status in cases
    ]

    sent = [answer["headers"]["cache-control"]["value"] for answer in edge.finish(*events)]

    assert 480 <= int(sent[0].removeprefix("private, max-age=")) <= 500
    assert sent[1:4] == ["private, max-age=86400"] * 3
    assert sent[4:] == ["no-store"] * 2
