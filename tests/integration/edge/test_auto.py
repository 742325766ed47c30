"""`.auto` is resolved at the edge."""

import re
from pathlib import Path
from uuid import uuid4

import httpx

from ingest.edge import rules
from proxy.model import Fit, Format, Size, Sizes
from proxy.web.negotiation import modern_format
from tests.accept import NEGOTIATION, random_accepts
from tests.http_client import http
from tests.nginx import SECRET, WITH_SECRET, StubOrigin, nginx
from tests.service import Service

WEIGHED = re.compile(r"image/(avif|webp)[^,]*q=0\.\d*[1-9]", re.IGNORECASE)
"""Headers that list AVIF or WebP with a weight between 0 and 1."""


class TestAuto:
    def test_accept_header_decides_the_format(self, stub: StubOrigin, stub_edge: str) -> None:
        """If AVIF or WebP has a reduced weight, nginx sends JPEG or PNG."""
        with httpx.Client(verify=False) as client:
            del client.headers["accept"]
            for case in NEGOTIATION:
                accept, expected = case["accept"], str(case["format"])
                if WEIGHED.search(accept or ""):
                    expected = "legacy"
                stem = f"/images/{uuid4()}/small"
                headers = {} if accept is None else {"Accept": accept.strip()}
                answer = client.get(f"{stub_edge}{stem}.auto", headers=headers)

                asked = stub.asked[-1]
                assert asked.path == f"{stem}.{expected.replace('legacy', 'auto')}", case
                assert "accept" not in asked.headers
                assert answer.headers["vary"] == "Accept"
        assert len(stub.asked) == len(NEGOTIATION)

    def test_edge_decides_like_the_origin_or_passes_on(self, stub: StubOrigin, stub_edge: str) -> None:
        with httpx.Client(verify=False) as client:
            for accept in random_accepts(300):
                client.get(f"{stub_edge}/images/{uuid4()}/small.auto", headers={"Accept": accept.strip()})
                assert stub.asked[-1].path.rpartition(".")[2] in ("auto", modern_format(accept)), accept
        assert len(stub.paths()) == 300

    def test_auto_of_a_size_is_one_of_its_formats_and_webp_if_animated(self, stub: StubOrigin, tmp_path: Path) -> None:
        sizes = Sizes(
            Size("clip", 10, 10, Fit.COVER, animated=True),
            Size("still", 10, 10, Fit.COVER),
            Size("page", 10, 10, Fit.COVER, formats=(Format.JPG, Format.WEBP), animated=True),
            Size("icon", 10, 10, Fit.COVER, formats=(Format.PNG, Format.AVIF)),
            Size("old", 10, 10, Fit.COVER, formats=(Format.JPG,)),
        )
        chosen = {
            "image/avif,image/webp,*/*;q=0.8": ("webp", "avif", "webp", "avif", "auto"),
            "image/avif,image/webp;q=0": ("avif", "avif", "auto", "avif", "auto"),
            "image/webp,*/*": ("webp", "webp", "webp", "auto", "auto"),
            "*/*": ("auto",) * 5,
            'image/avif,image/webp;p="a,b"': ("auto",) * 5,
        }
        lacking = ("page.avif", "page@2x.png", "icon.jpg", "icon@3x.webp", "icon.jpeg", "old.png", "old.webp")
        with nginx(tmp_path, stub.url, stub.url, variants=rules.nginx(sizes, 10), changes=WITH_SECRET) as edge:
            for accept, formats in chosen.items():
                for size, format in zip(sizes, formats, strict=True):
                    http.get(f"{edge}/images/{uuid4()}/{size}@2x.auto", headers={"Accept": accept})
                    assert stub.asked[-1].path.endswith(f"/{size}@2x.{format}"), (size, accept)
            asked = len(stub.asked)
            for name in lacking:
                assert http.get(f"{edge}/images/{uuid4()}/{name}").status_code == 404, name
            assert len(stub.asked) == asked
            # The size may have had the format, and nginx may still have the variant.
            assert http.get(f"{edge}/images/{uuid4()}/page.avif", headers={"X-Edge-Forget": SECRET}).status_code == 200
            redirected = http.get(f"{edge}/images/{uuid4()}/page@2x.jpeg", follow_redirects=False)
            assert (redirected.status_code, redirected.headers["location"]) == (308, "page@2x.jpg")
            assert http.get(f"{edge}/images/{uuid4()}/icon@2x.png").status_code == 200

    def test_format_of_weight_zero_in_accept_is_not_chosen(self, stub: StubOrigin, stub_edge: str) -> None:
        for accept in (
            "image/avif; q=0",
            "image/avif ;q=0.0 , image/webp; q=0",
            "image/avif;q=0, image/avif",
            'image/avif;p="a,b";q=0',
            'text/x;p=",image/webp"',
            "image/avif;p=x; q=0",
            "image/avif;q=1;q=0",
        ):
            http.get(f"{stub_edge}/images/{uuid4()}/small.auto", headers={"Accept": accept})
            assert stub.asked[-1].path.endswith(".auto"), accept

    def test_negotiated_variant_is_cached_under_its_own_name(
        self, edge: str, darkroom: Service, upload_id: str
    ) -> None:
        stem = f"{edge}/images/{upload_id}/small@2x"
        chosen = http.get(f"{stem}.auto?x", headers={"Accept": "image/webp"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        named = http.get(f"{stem}.webp")

        assert (chosen.headers["content-type"], chosen.headers["vary"]) == ("image/webp", "Accept")
        assert (named.content, named.headers["x-cache-status"]) == (chosen.content, "HIT")
        assert "vary" not in named.headers
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    def test_fallback_format_is_cached_as_auto(self, edge: str, darkroom: Service, upload_id: str) -> None:
        url = f"{edge}/images/{upload_id}/medium.auto"
        first = http.get(url, headers={"Accept": "image/png,*/*"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = http.get(url, headers={"Accept": "image/avif;q=0"})

        assert (first.headers["content-type"], first.headers["vary"]) == ("image/jpeg", "Accept")
        assert (second.content, second.headers["x-cache-status"]) == (first.content, "HIT")
        assert second.headers["vary"] == "Accept"
        assert darkroom.metric("darkroom_variant_requests_total") == asked
