"""`POST /images/upload`: responses to accepted pictures."""

import json
import re
from io import BytesIO
from pathlib import Path

import httpx
import PIL.Image
import pytest
from sqlalchemy import update

from ingest.catalog.tables import SecondsAgo, upload_jobs
from ingest.records import JobStatus
from ingest.serialization.placeholder import data_url
from proxy.imaging.inspect import inspect
from proxy.imaging.limits import Limits
from proxy.keys import original_key
from proxy.model import parse_upload_id
from tests.photographs import photograph_bytes
from tests.unit.ingest.bodies import MULTIPART, multipart, part, upload_body
from tests.unit.ingest.examples import SIDES, TYPES, image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1 << 20


async def test_response_has_exactly_the_documented_fields(service: Service, tmp_path: Path) -> None:
    file = photograph_bytes("rocket.jpg")
    (tmp_path / "rocket").write_bytes(file)
    seen = inspect(tmp_path / "rocket", Limits(100, 1000))

    answer = await service.upload(file)

    upload_id = answer.json()["uploadId"]
    assert answer.status_code == 201
    assert parse_upload_id(upload_id) == upload_id
    assert answer.json() == {
        "uploadId": upload_id,
        "originalSize": len(file),
        "dimensions": {"width": 640, "height": 427},
        "format": "jpeg",
        "animated": False,
        "status": "pending",
        "statusUrl": f"/images/{upload_id}/status",
        "urls": {size: {format: f"/images/{upload_id}/{size}.{format}" for format in TYPES} for size in SIDES},
        "sizes": {size: {"width": side, "height": side} for size, side in SIDES.items()},
        "placeholder": {
            "thumbhash": seen.thumbhash,
            "color": seen.color,
            "dataUrl": data_url(seen.thumbhash),
        },
        "privacy": {"removed": ["comments"], "kept": []},
        "focus": None,
        "owner": None,
        "externalId": None,
        "metadata": None,
        "visibility": "public",
    }
    assert re.fullmatch(r"#[0-9a-f]{6}", seen.color)
    assert answer.headers["location"] == f"/images/{upload_id}"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.heavy
async def test_every_url_works_at_once(service: Service) -> None:
    urls = (await service.upload(photograph_bytes("rocket.jpg"))).json()["urls"]

    for size, formats in urls.items():
        for format, url in formats.items():
            answer = await service.get(url)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == TYPES[format]
            with PIL.Image.open(BytesIO(answer.content)) as image:
                assert image.size == (SIDES[size], SIDES[size])


@pytest.mark.parametrize(
    ("settings", "base", "public"),
    [
        ({"cdn_url": "https://cdn.test"}, "https://cdn.test", ""),
        (
            {"public_url": "https://origin.test:8443/darkroom/"},
            "https://origin.test:8443/darkroom",
            "https://origin.test:8443/darkroom",
        ),
        (
            {"cdn_url": "https://cdn.test/pictures/", "public_url": "https://origin.test/media"},
            "https://cdn.test/pictures",
            "https://origin.test/media",
        ),
    ],
)
async def test_urls_begin_with_the_configured_base(
    service: Service, settings: dict[str, str], base: str, public: str
) -> None:
    """The CDN may serve variants alone, so the API's own URLs begin with PUBLIC_URL."""
    response = await service.configured(**settings).upload(image_bytes())

    answer = response.json()
    upload_id = answer["uploadId"]
    for size, formats in answer["urls"].items():
        for format, url in formats.items():
            assert url == f"{base}/images/{upload_id}/{size}.{format}"
    assert answer["statusUrl"] == f"{public}/images/{upload_id}/status"
    assert response.headers["location"] == f"{public}/images/{upload_id}"


async def test_no_header_of_the_request_gets_into_a_url(service: Service) -> None:
    forged = {"host": "evil.test", "x-forwarded-host": "evil.test", "x-forwarded-proto": "gopher"}

    locked = service.configured(api_keys=("first-first-first",))  # without keys, a foreign host is refused
    answer = await locked.upload(image_bytes(), authorization="Bearer first-first-first", **forged)

    assert answer.status_code == 201
    assert "evil.test" not in answer.text + str(answer.headers)


async def test_configured_sizes_are_those_of_the_urls(service: Service) -> None:
    sizes = {"tiny": {"width": 16, "height": 16}, "wide": {"width": 300}}

    urls = (await service.configured(sizes=sizes).upload(image_bytes())).json()["urls"]

    assert list(urls) == ["tiny", "wide"]
    assert list(urls["wide"]) == list(TYPES)


@pytest.mark.promise("B8")
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
async def test_format_is_decided_by_content(service: Service, format: str) -> None:
    file = part('name="image"; filename="x.php"', image_bytes(format=format), "Content-Type: text/html")
    exchange = await Exchange([multipart(file)]).run(service.app, "POST", "/images/upload", content_type=MULTIPART)

    assert exchange.status == 201
    assert httpx.Response(200, content=exchange.answer).json()["format"] == format


@pytest.mark.parametrize("filename", ["../../etc/passwd", "x" * 300, "a\0b.png", "\u202egpj.exe", "><script>"])
async def test_file_name_is_not_used(service: Service, filename: str) -> None:
    before = (await service.holdings())[0]
    body = multipart(part(f'name="image"; filename="{filename}"', image_bytes()))

    exchange = await Exchange([body]).run(service.app, "POST", "/images/upload", content_type=MULTIPART)

    assert exchange.status == 201
    upload_id = exchange.headers["location"].removeprefix("/images/")
    after = (await service.holdings())[0]
    assert set(after) - set(before) == {f"originals/{upload_id}"}
    assert filename not in exchange.answer.decode() + str(exchange.headers)


@pytest.mark.promise("B1")
async def test_largest_upload_is_accepted(service: Service) -> None:
    file = image_bytes().ljust(MIB, b"\0")

    answer = await service.upload(file)

    assert answer.status_code == 201
    assert answer.json()["originalSize"] == MIB


@pytest.mark.parametrize("declared", [None, "0", "10", "999999", "-5", "1e3", "abc", "", "٣", "0x5"])
async def test_wrong_content_length_is_ignored(service: Service, declared: str | None) -> None:
    headers = {"content_type": MULTIPART}
    if declared is not None:
        headers["content_length"] = declared.encode().decode("latin-1")

    exchange = await Exchange([upload_body(image_bytes())]).run(service.app, "POST", "/images/upload", **headers)

    assert exchange.status == 201


async def test_connection_stays_open(service: Service) -> None:
    exchange = await Exchange([upload_body(image_bytes())]).run(
        service.app, "POST", "/images/upload", content_type=MULTIPART
    )

    assert "connection" not in exchange.headers
    assert exchange.received_after_end == 0


async def test_upload_is_counted_in_metrics(service: Service) -> None:
    await service.upload(image_bytes())

    metrics = (await service.get("/metrics")).text

    uploads = re.search(r'^darkroom_uploads_total\{outcome="ok"\} (\S+)$', metrics, re.MULTILINE)
    jobs = re.search(r'^darkroom_jobs\{status="pending"\} (\S+)$', metrics, re.MULTILINE)
    assert uploads
    assert jobs
    assert float(jobs[1]) == (await service.ingest.repository.count())[JobStatus.PENDING] > 0


async def test_wait_of_the_oldest_job_is_in_metrics(service: Service) -> None:
    upload_id = (await service.upload(image_bytes())).json()["uploadId"]
    async with service.ingest.database.transaction() as connection:
        oldest = update(upload_jobs).where(upload_jobs.c.upload_id == upload_id)
        await connection.execute(oldest.values(created_at=SecondsAgo(86_400)))

    metrics = (await service.get("/metrics")).text

    [age] = re.findall(r"^darkroom_oldest_job_seconds (\S+)$", metrics, re.MULTILINE)
    assert 86_400 <= float(age) < 86_500


async def test_focus_is_returned_and_kept_in_the_metadata_of_the_original(service: Service) -> None:
    async with service.client() as client:
        answer = await client.post("/images/upload", files={"image": image_bytes()}, data={"focus": "0.30,0.7"})
        shown = await client.get(answer.headers["location"])

    assert (answer.status_code, answer.json()["focus"], shown.json()["focus"]) == (201, "0.3,0.7", "0.3,0.7")
    original = await service.ingest.proxy.store.head(original_key(answer.json()["uploadId"]))
    assert original.metadata["focus"] == "0.3,0.7"


async def test_owner_external_id_and_metadata_are_returned_everywhere(service: Service) -> None:
    given = {"owner": "Zoë", "externalId": "listing/7", "metadata": {"b": 1, "a": [None, "é"]}}
    async with service.client() as client:
        form = given | {"metadata": json.dumps(given["metadata"])}
        answer = await client.post("/images/upload", files={"image": image_bytes()}, data=form)
        shown = await client.get(answer.headers["location"])
        listed = await client.get("/images?limit=1")

    for document in (answer.json(), shown.json(), listed.json()["images"][0]):
        assert {name: document[name] for name in given} == given
        assert list(document["metadata"]) == ["b", "a"]


async def test_numbers_of_metadata_keep_their_value_as_integer_or_float(service: Service) -> None:
    sent = r'{"b": [12345678901234567890123, 1.10, 1E2, -0, 0.30000000000000001], "a": "\u00e9"}'
    async with service.client() as client:
        answer = await client.post("/images/upload", files={"image": image_bytes()}, data={"metadata": sent})
        shown = await client.get(answer.headers["location"])

    for text in (answer.text, shown.text):
        assert '"metadata":{"b":[12345678901234567890123,1.1,100.0,0,0.3],"a":"é"}' in text


async def test_private_upload_is_stored_as_private(service: Service) -> None:
    async with service.configured(signing_keys="k" * 32).client() as client:
        answer = await client.post("/images/upload", files={"image": image_bytes()}, data={"visibility": "private"})

    document = answer.json()
    assert (answer.status_code, document["visibility"]) == (201, "private")
    assert document["urls"]["small"]["jpg"] == f"/private/{document['uploadId']}/small.jpg"
    original = await service.ingest.proxy.store.head(original_key(document["uploadId"]))
    assert original.metadata["visibility"] == "private"


@pytest.mark.parametrize(("given", "visibility"), [({}, "private"), ({"visibility": "public"}, "public")])
async def test_default_visibility_is_of_uploads_that_name_none(
    service: Service, given: dict[str, str], visibility: str
) -> None:
    private = service.configured(signing_keys="k" * 32, default_visibility="private")
    async with private.client() as client:
        answer = await client.post("/images/upload", files={"image": image_bytes()}, data=given)

    assert answer.json()["visibility"] == visibility
