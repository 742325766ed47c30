"""deploy/edge.js, run by Node and by njs. CloudFront's engine is based on njs and has as few features."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import pytest

from ingest.edge import rules
from ingest.web.docs import DOCS_PATHS
from ingest.web.page import PAGE_PATHS
from proxy.model import Fit, Format, Size, Sizes
from proxy.settings import Settings
from proxy.web.negotiation import modern_format
from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS
from tests.accept import NEGOTIATION, random_accepts
from tests.conftest import need

ROOT = Path(__file__).parents[2]
FUNCTION = (ROOT / "deploy" / "edge.js").read_text()
PACKAGES = {"node": "nodejs", "njs": "njs"}
UPLOAD = str(uuid4())


class Edge:
    """The function, run by one engine."""

    def __init__(self, program: str, folder: Path, function: str = FUNCTION) -> None:
        self._program = program
        self._function = function
        self._script = folder / "script.js"

    def answers(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the request or response that CloudFront would continue with."""
        events = json.dumps([{"request": request} for request in requests])
        call = f"{events}.forEach(event => console.log(JSON.stringify(handler(event))));"
        self._script.write_text(f"{self._function}\n{call}\n")
        output = subprocess.run([self._program, self._script], capture_output=True, text=True, timeout=30, check=False)
        assert output.returncode == 0, output.stderr + output.stdout
        return [json.loads(line) for line in output.stdout.splitlines()]

    def below(self, base_path: str) -> "Edge":
        """Returns this edge with the function for a `CDN_URL` with a path."""
        function = rules.cloudfront(Settings.model_construct().sizes, base_path)
        return Edge(self._program, self._script.parent, function)

    def path(self, path: str, accept: str | None = None) -> dict[str, Any]:
        [answer] = self.answers(request(path, accept))
        return answer


@pytest.fixture(params=sorted(PACKAGES))
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Edge:
    program = shutil.which(request.param)
    need(program, PACKAGES[request.param])
    return Edge(str(program), tmp_path)


def request(path: str, accept: str | None = None) -> dict[str, Any]:
    headers = {"host": {"value": "cdn.test"}} | ({} if accept is None else {"accept": {"value": accept}})
    return {"method": "GET", "uri": path, "querystring": {}, "headers": headers, "cookies": {}}


def test_auto_is_resolved_by_the_shared_table(edge: Edge) -> None:
    stem = f"/images/{UPLOAD}/medium@2x"
    answers = edge.answers(*(request(f"{stem}.auto", case["accept"]) for case in NEGOTIATION))

    chosen = [answer["uri"].removeprefix(f"{stem}.").replace("auto", "legacy") for answer in answers]
    assert dict(zip([case["accept"] for case in NEGOTIATION], chosen, strict=True)) == {
        case["accept"]: case["format"] for case in NEGOTIATION
    }


def test_auto_of_an_animated_size_is_webp_for_all_that_accept_it(edge: Edge, tmp_path: Path) -> None:
    sizes = Sizes(Size("clip", 10, 10, Fit.COVER, animated=True), Size("still", 10, 10, Fit.COVER))
    animated = Edge(edge._program, tmp_path, rules.cloudfront(sizes))
    accepts = ("image/avif,image/webp,*/*;q=0.8", "image/avif,image/webp;q=0", "image/avif,image/webp;q=0.5,*/*", "*/*")
    names = ("clip@2x", "still")

    answers = animated.answers(
        *(request(f"/images/{UPLOAD}/{name}.auto", accept) for name in names for accept in accepts)
    )

    chosen = [answer["uri"].rpartition(".")[2] for answer in answers]
    assert chosen == ["webp", "avif", "avif", "auto", "avif", "avif", "avif", "auto"]


def test_auto_of_a_size_is_one_of_its_formats_and_others_are_not_found(edge: Edge, tmp_path: Path) -> None:
    formats = {"all": [*Format], "page": [Format.JPG, Format.WEBP], "icon": [Format.PNG, Format.AVIF]}
    formats["old"] = [Format.JPG, Format.PNG]
    sizes = Sizes(*(Size(name, 9, 9, Fit.COVER, formats=tuple(has)) for name, has in formats.items()))
    limited = Edge(edge._program, tmp_path, rules.cloudfront(sizes))
    accepts = ("image/avif,image/webp,*/*;q=0.8", "image/avif", "image/webp,image/avif;q=0.5", "*/*")
    paths = [f"{name}@3x.{extension}" for name in formats for extension in (*Format, "jpeg")]

    negotiated = limited.answers(
        *(request(f"/images/{UPLOAD}/{name}.auto", accept) for name in formats for accept in accepts)
    )
    named = limited.answers(*(request(f"/images/{UPLOAD}/{path}") for path in paths))

    assert [answer["uri"].rpartition("/")[2] for answer in negotiated] == [
        *("all.avif", "all.avif", "all.webp", "all.auto"),
        *("page.webp", "page.auto", "page.webp", "page.auto"),
        *("icon.avif", "icon.avif", "icon.avif", "icon.auto"),
        *["old.auto"] * 4,
    ]
    assert [path for path, answer in zip(paths, named, strict=True) if answer.get("statusCode") == 404] == [
        *("page@3x.png", "page@3x.avif"),
        *("icon@3x.jpg", "icon@3x.webp", "icon@3x.jpeg"),
        *("old@3x.webp", "old@3x.avif"),
    ]


def test_auto_resolves_to_the_format_of_the_origin(edge: Edge) -> None:
    """Random headers from a fixed seed, in one run, because an engine starts slowly."""
    headers = random_accepts(1000)
    stem = f"/images/{UPLOAD}/small"
    answers = edge.answers(*(request(f"{stem}.auto", header) for header in headers))

    for header, answer in zip(headers, answers, strict=True):
        assert answer["uri"] == f"{stem}.{modern_format(header) or 'auto'}", header


def test_format_of_weight_zero_in_accept_is_not_chosen(edge: Edge) -> None:
    accepts = ("image/avif; q=0", 'image/avif;p="a,b";q=0', 'text/x;p=",image/webp"', "constructor,__proto__")
    path = f"/images/{UPLOAD}/small.auto"

    answers = edge.answers(*(request(path, accept) for accept in accepts))

    assert [answer["uri"] for answer in answers] == [path] * len(accepts)


def test_repeated_accept_headers_are_joined(edge: Edge) -> None:
    several = request(f"/images/{UPLOAD}/small.auto")
    lines = [{"value": "image/webp;q=0.5"}, {"value": "image/avif;q=0.9"}]
    several["headers"]["accept"] = {"value": lines[0]["value"], "multiValue": lines}

    assert edge.answers(several)[0]["uri"].endswith(".avif")


def test_other_paths_pass_unchanged(edge: Edge) -> None:
    paths = [
        *(f"/images/{UPLOAD}/{name}" for name in ("small.jpg", "medium@2x.webp", "large@3x.avif", "small.png")),
        *(*PAGE_PATHS, *DOCS_PATHS, "/images", "/images/upload", "/images/tickets", "/sizes", "/healthz"),
        f"/images/deletions/{UPLOAD}",
        *(f"/images/{UPLOAD}{rest}" for rest in ("", "/status", "/events", "/original")),
    ]
    requests = [request(path, "image/avif") for path in paths]

    assert edge.answers(*requests) == requests


def test_unknown_paths_are_not_found_at_the_edge(edge: Edge) -> None:
    names = ("huge.jpg", "small.gif", "small@1x.jpg", "small.jpg/", "small%2Ejpg", "small.jpg%00", "SMALL.jpg", ".jpg")
    paths = [
        *(f"/images/{UPLOAD}/{name}" for name in (*names, "small.auto.auto", "small")),
        *(f"/images/{UPLOAD}//small.jpg", f"//images/{UPLOAD}/small.jpg", f"/images/{UPLOAD.upper()}/small.jpg"),
        *(f"/images/x/../{UPLOAD}/small.jpg", f"/originals/{UPLOAD}", f"/images/../originals/{UPLOAD}"),
        *(f"/trash/{UPLOAD}", f"/fields/{UPLOAD}", "/installation"),
        *("/metrics", "/readyz"),
        *("", "/images/", "/images/upload/", "/images/tickets/", "/page/../x", "/favicon.ico"),
    ]

    for path, answer in zip(paths, edge.answers(*map(request, paths)), strict=True):
        assert answer.get("statusCode") == 404, path
        assert answer["headers"]["cache-control"]["value"] == "public, max-age=60"
        assert json.loads(answer["body"])["code"] == "not_found"


def test_jpeg_redirects_to_jpg(edge: Edge) -> None:
    answer = edge.path(f"/images/{UPLOAD}/small@2x.jpeg")

    assert (answer["statusCode"], answer["headers"]["location"]["value"]) == (308, "small@2x.jpg")


def test_path_of_the_cdn_is_removed(edge: Edge) -> None:
    paths = [f"/images/{UPLOAD}/small.jpg", f"/images/{UPLOAD}/small.auto", "/images/upload", "/docs", "/"]
    answers = edge.below("/media").answers(*(request(f"/media{path}", "image/avif") for path in paths))

    assert answers == edge.answers(*(request(path, "image/avif") for path in paths))


def test_jpeg_redirects_below_the_path_of_the_cdn(edge: Edge) -> None:
    url = f"https://cdn.test/media/images/{UPLOAD}/small.jpeg"
    answer = edge.below("/media").path(url.removeprefix("https://cdn.test"))

    assert urljoin(url, answer["headers"]["location"]["value"]) == url.replace(".jpeg", ".jpg")


def test_request_without_the_path_of_the_cdn_is_not_found(edge: Edge) -> None:
    variant = f"images/{UPLOAD}/small.jpg"
    paths = [f"/{variant}", f"/media{variant}", f"//media/{variant}", "/media", "/"]

    assert {answer.get("statusCode") for answer in edge.below("/media").answers(*map(request, paths))} == {404}


def test_responses_about_variants_are_cross_origin(edge: Edge) -> None:
    paths = (f"/images/{UPLOAD}/small.jpeg", f"/images/{UPLOAD}/huge.jpg", "/images/x/small.gif")

    for answer in edge.answers(*map(request, paths)):
        sent = {name: answer["headers"][name.lower()]["value"] for name in CROSS_ORIGIN_HEADERS}
        assert sent == CROSS_ORIGIN_HEADERS


def test_other_responses_are_not_cross_origin(edge: Edge) -> None:
    paths = ("/metrics", "/images/", f"/images/{UPLOAD}/small", f"/originals/{UPLOAD}", "/favicon.ico")

    for answer in edge.answers(*map(request, paths)):
        assert not {name.lower() for name in CROSS_ORIGIN_HEADERS} & answer["headers"].keys()
