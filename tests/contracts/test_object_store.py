"""What every ObjectStore promises: one suite, run by each adapter; then how each of them fails."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from moto import mock_aws

from proxy.errors import StoreUnavailable
from proxy.keys import original_key, variants_prefix
from proxy.model import UploadId, new_upload_id
from proxy.storage.base import ObjectExists, ObjectNotFound, ObjectStore
from proxy.storage.disk import DiskStore
from proxy.storage.memory import MemoryStore
from proxy.storage.s3 import S3Store
from tests.seaweedfs import SeaweedServer

BUCKET = "darkroom-contract"
BODIES = {"empty": b"", "one byte": b"\x00", "3 MB": random.Random(3).randbytes(3_000_000)}
OVER_A_PAGE = 1100  # S3 lists, and deletes, 1000 at a time


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = DiskStore(tmp_path / "store")
    yield store
    await store.close()


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    yield store
    await store.close()


@pytest.fixture(scope="module")
def moto_store() -> Iterator[S3Store]:
    """Made once, as its twin below, for a client costs 0.2 s."""
    store = S3Store(BUCKET, region="eu-central-1", access_key_id="moto", secret_access_key="moto")
    yield store
    anyio.run(store.close)


@pytest.fixture
def moto(moto_store: S3Store) -> Iterator[S3Store]:
    """moto answers in this process, in place of every botocore client there is: for this one test, no longer."""
    with mock_aws():
        moto_store._client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield moto_store


@pytest.fixture(scope="module")
def seaweed(seaweedfs: SeaweedServer) -> Iterator[S3Store]:
    seaweedfs.create_bucket(BUCKET)
    store = seaweed_store(seaweedfs)
    yield store
    anyio.run(store.close)


@pytest.fixture(params=["disk", "memory", "s3-moto", "s3-seaweedfs"])
def object_store(request: pytest.FixtureRequest) -> ObjectStore:
    fixtures = {"s3-moto": "moto", "s3-seaweedfs": "seaweed"}
    store: ObjectStore = request.getfixturevalue(fixtures.get(request.param, request.param))
    return store


@pytest.fixture
def upload_id() -> UploadId:
    """A new one for every test: the bucket outlives them."""
    return new_upload_id()


@pytest.fixture
def key(upload_id: UploadId) -> str:
    return original_key(upload_id)


def seaweed_store(server: SeaweedServer, *, bucket: str = BUCKET, secret: str | None = None) -> S3Store:
    return S3Store(
        bucket,
        region="us-east-1",
        endpoint_url=server.endpoint_url,
        access_key_id=server.access_key_id,
        secret_access_key=secret or server.secret_access_key,
    )


class TestRoundTrip:
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_bytes_come_back(
        self, object_store: ObjectStore, key: str, tmp_path: Path, body: bytes, from_file: bool
    ) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(body)

        await object_store.put(key, source if from_file else body, content_type="image/png")

        stored = await object_store.get(key)
        assert stored.body == body
        assert stored.info.size == len(body)
        assert await object_store.head(key) == stored.info
        assert await object_store.download(key, target) == stored.info
        assert target.read_bytes() == body

    async def test_what_is_said_of_them_comes_back(self, object_store: ObjectStore, key: str) -> None:
        metadata = {"recipe": "a1b2c3", "source-sha256": "0" * 64}

        await object_store.put(
            key, b"x", content_type="image/webp", cache_control="public, max-age=60", metadata=metadata
        )

        info = await object_store.head(key)
        assert info.key == key
        assert info.content_type == "image/webp"
        assert info.cache_control == "public, max-age=60"
        assert info.metadata == metadata

    async def test_what_was_not_said_stays_unsaid(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/jpeg")

        info = await object_store.head(key)
        assert info.cache_control is None
        assert info.metadata == {}

    async def test_last_modified_is_now_with_its_zone(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/jpeg")

        listed = [info async for info in object_store.list(key)]
        for info in (await object_store.head(key), (await object_store.get(key)).info, *listed):
            assert info.last_modified.tzinfo is not None
            assert abs(datetime.now(UTC) - info.last_modified) < timedelta(minutes=1)

    async def test_a_put_replaces_all_that_was(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"old and longer", content_type="image/png", metadata={"old": "1"})

        await object_store.put(key, b"new", content_type="image/jpeg", metadata={"new": "1"})

        stored = await object_store.get(key)
        assert stored.body == b"new"
        assert stored.info.content_type == "image/jpeg"
        assert stored.info.metadata == {"new": "1"}

    # Not memory, whose work is over before anything could tick.
    @pytest.mark.parametrize("object_store", ["disk", "s3-moto", "s3-seaweedfs"], indirect=True)
    async def test_the_event_loop_runs_meanwhile(self, object_store: ObjectStore, key: str, tmp_path: Path) -> None:
        body = random.Random(8).randbytes(8_000_000)

        assert await ticks_during(object_store.put(key, body, content_type="image/png"))
        assert await ticks_during(object_store.get(key))
        assert await ticks_during(object_store.download(key, tmp_path / "target"))
        assert await ticks_during(object_store.head(key))


async def ticks_during(work: Awaitable[object]) -> int:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await work
    ticker.cancel()
    return ticks


class TestPutIfAbsent:
    async def test_stores_what_is_not_there(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"first", content_type="image/png", if_absent=True)

        assert (await object_store.get(key)).body == b"first"

    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_refused_leaves_what_is_there(
        self, object_store: ObjectStore, key: str, tmp_path: Path, from_file: bool
    ) -> None:
        await object_store.put(key, b"first", content_type="image/png", metadata={"by": "first"})
        before = await object_store.get(key)
        source = tmp_path / "source"
        source.write_bytes(BODIES["3 MB"])

        with pytest.raises(ObjectExists):
            await object_store.put(
                key, source if from_file else BODIES["3 MB"], content_type="image/jpeg", if_absent=True
            )

        assert await object_store.get(key) == before

    # Not moto, which looks and stores in two steps: slowed down in between, it let nine of 24 win.
    @pytest.mark.parametrize("object_store", ["disk", "memory", "s3-seaweedfs"], indirect=True)
    async def test_of_many_racers_one_wins(self, object_store: ObjectStore, key: str) -> None:
        bodies = [bytes([racer]) * 10_000 for racer in range(24)]

        results = await asyncio.gather(
            *(object_store.put(key, body, content_type="image/png", if_absent=True) for body in bodies),
            return_exceptions=True,
        )

        (winner,) = (body for body, result in zip(bodies, results, strict=True) if result is None)
        assert [type(result) for result in results if result is not None] == [ObjectExists] * 23
        assert (await object_store.get(key)).body == winner


class TestMissing:
    async def test_is_told(self, object_store: ObjectStore, key: str, tmp_path: Path) -> None:
        target = tmp_path / "target"

        assert (
            await failures(object_store.head(key), object_store.get(key), object_store.download(key, target))
            == [ObjectNotFound] * 3
        )
        assert not target.exists()

    async def test_a_prefix_is_no_key(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        key, prefix = f"images/{upload_id}/medium.webp", f"images/{upload_id}"
        await object_store.put(key, b"x", content_type="image/webp")

        assert await failures(object_store.head(prefix), object_store.get(prefix)) == [ObjectNotFound] * 2

    async def test_nothing_is_listed(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        assert await keys(object_store, variants_prefix(upload_id)) == []


class TestDelete:
    async def test_is_idempotent(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/png")

        for _ in range(2):
            await object_store.delete(key)

        with pytest.raises(ObjectNotFound):
            await object_store.get(key)

    async def test_of_no_keys_does_nothing(self, object_store: ObjectStore) -> None:
        await object_store.delete()

    async def test_takes_the_named_and_no_others(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        one, two, three = (f"images/{upload_id}/{name}" for name in ("one.png", "two.png", "three.png"))
        for each in (one, two, three):
            await object_store.put(each, b"x", content_type="image/png")

        await object_store.delete(one, f"images/{upload_id}/never.png", two)

        assert await keys(object_store, variants_prefix(upload_id)) == [three]

    async def test_makes_room_for_another(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"old", content_type="image/png")
        await object_store.delete(key)

        await object_store.put(key, b"new", content_type="image/png", if_absent=True)

        assert (await object_store.get(key)).body == b"new"


class TestList:
    async def test_sizes_are_right_and_keys_in_order(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        sizes = {f"images/{upload_id}/{name}": size for name, size in (("b@2x.png", 2), ("a.webp", 0), ("b.png", 7))}
        for each, size in sizes.items():
            await object_store.put(each, bytes(size), content_type="image/png")

        found = [(info.key, info.size) async for info in object_store.list(variants_prefix(upload_id))]

        assert found == sorted(sizes.items())

    async def test_a_prefix_is_text_and_may_end_anywhere(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        begins_alike = [UploadId(f"{upload_id[:-4]}{end}") for end in ("0a0a", "0b0b", "ffff")]
        for each in begins_alike:
            await object_store.put(f"images/{each}/small.png", b"x", content_type="image/png")
            await object_store.put(f"images/{each}/large.png", b"x", content_type="image/png")

        assert await keys(object_store, f"images/{upload_id[:-4]}0") == [
            f"images/{each}/{name}.png" for each in begins_alike[:2] for name in ("large", "small")
        ]

    async def test_an_id_does_not_match_another_that_it_begins(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        await object_store.put(f"images/{upload_id}/small.png", b"x", content_type="image/png")
        await object_store.put(f"images/{upload_id}0/small.png", b"x", content_type="image/png")

        assert await keys(object_store, variants_prefix(upload_id)) == [f"images/{upload_id}/small.png"]

    async def test_more_than_a_page_deleted_while_listed(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        names = [f"images/{upload_id}/{number:04}.png" for number in range(OVER_A_PAGE)]
        await asyncio.gather(*(object_store.put(name, b"x", content_type="image/png") for name in names))
        found = []

        async for info in object_store.list(variants_prefix(upload_id)):
            found.append(info.key)
            if len(found) % 500 == 0:
                await object_store.delete(*found)

        assert found == names
        await object_store.delete(*names)
        assert await keys(object_store, variants_prefix(upload_id)) == []


async def failures(*calls: Awaitable[object]) -> list[type]:
    """What each call raised."""
    return [type(result) for result in await asyncio.gather(*calls, return_exceptions=True)]


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [info.key async for info in store.list(prefix)]


async def assert_away(store: ObjectStore, target: Path) -> list[str]:
    """Every method says StoreUnavailable. Returns what they say."""
    calls = (
        store.head("originals/key"),
        store.get("originals/key"),
        store.download("originals/key", target),
        store.put("originals/key", b"x", content_type="image/png"),
        store.put("originals/key", b"x", content_type="image/png", if_absent=True),
        store.delete("originals/key"),
        keys(store, "originals/"),
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)
    assert not await anyio.Path(target).exists()
    return [str(result) for result in results]


class TestDiskFails:
    @pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "..", "a/../../b", "a/.", ".incoming/x", "a/"])
    async def test_what_is_no_key_is_never_a_path(self, disk: DiskStore, key: str, tmp_path: Path) -> None:
        calls = (
            disk.head(key),
            disk.get(key),
            disk.download(key, tmp_path / "target"),
            disk.put(key, b"x", content_type="image/png"),
            disk.delete(key),
        )
        assert await failures(*calls) == [ValueError] * len(calls)
        assert not (tmp_path / "target").exists()

    async def test_a_file_in_place_of_its_folder(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        root.write_bytes(b"")

        await assert_away(DiskStore(root), tmp_path / "target")

    @pytest.mark.parametrize(
        "damage", [b"", b"\xff\xd8\xff\xe0", b"\x00" * 40_000, b"17\n", b"{}\nx", b'{"else": 1}\nx']
    )
    async def test_a_damaged_file(self, disk: DiskStore, tmp_path: Path, key: str, damage: bytes) -> None:
        await disk.put(key, b"x", content_type="image/png")
        (tmp_path / "store" / key).write_bytes(damage)

        reads = disk.head(key), disk.get(key), disk.download(key, tmp_path / "target")
        assert await failures(*reads) == [StoreUnavailable] * 3
        assert not (tmp_path / "target").exists()


class TestS3Fails:
    async def test_nobody_listens(self, tmp_path: Path, unused_tcp_port: int) -> None:
        store = fake_store(unused_tcp_port)

        said = await assert_away(store, tmp_path / "target")

        assert all("cannot be reached" in sentence for sentence in said)

    async def test_it_hangs_up(self, tmp_path: Path) -> None:
        async with s3_that(lambda _: b"") as store:
            said = await assert_away(store, tmp_path / "target")

        assert all("cannot be reached" in sentence for sentence in said)

    async def test_a_wrong_secret(self, seaweedfs: SeaweedServer, tmp_path: Path) -> None:
        store = seaweed_store(seaweedfs, secret="wrong-and-never-to-be-shown")

        said = await assert_away(store, tmp_path / "target")

        assert all("credentials" in sentence for sentence in said)
        assert not [s for s in said if "never-to-be-shown" in s or seaweedfs.access_key_id in s]

    async def test_no_credentials(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

        said = await assert_away(S3Store(BUCKET, region="us-east-1"), tmp_path / "target")

        assert all("No credentials" in sentence for sentence in said)

    async def test_a_missing_bucket_is_not_a_missing_key(self, seaweedfs: SeaweedServer, tmp_path: Path) -> None:
        store = seaweed_store(seaweedfs, bucket="no-such-bucket")

        said = await assert_away(store, tmp_path / "target")

        assert all("bucket does not exist" in sentence for sentence in said)

    async def test_a_cut_body_is_never_returned(self, tmp_path: Path) -> None:
        cut = http(200, b"ten bytes.", **OBJECT, content_length="3000000")
        async with s3_that(lambda _: cut) as store:
            with pytest.raises(StoreUnavailable, match="broke off"):
                await store.get("key")
            with pytest.raises(StoreUnavailable, match="broke off"):
                await store.download("key", tmp_path / "target")
        assert not (tmp_path / "target").exists()

    async def test_a_file_in_the_way_of_a_download_stays(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_bytes(b"somebody's")
        async with s3_that(lambda _: http(200, b"x", **OBJECT)) as store:
            with pytest.raises(FileExistsError):
                await store.download("key", target)
        assert target.read_bytes() == b"somebody's"

    async def test_something_else_answers(self, tmp_path: Path) -> None:
        async with s3_that(lambda _: http(200, b"<!doctype html><p>Welcome!")) as store:
            reads = store.head("key"), store.get("key"), store.download("key", tmp_path / "target"), keys(store, "")
            said = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in said] == [StoreUnavailable] * 4
        assert all("no S3 service" in str(error) for error in said[:3])
        assert not (tmp_path / "target").exists()

    @pytest.mark.parametrize(
        ("status", "code", "advice"),
        [
            (403, "AccessDenied", "s3:ListBucket"),
            (403, "RequestTimeTooSkewed", "clock"),
            (403, "InvalidAccessKeyId", "access key"),
            (400, "ExpiredToken", "expired"),
            (400, "AuthorizationHeaderMalformed", "region"),
            (404, "NoSuchBucket", "bucket does not exist"),
            (503, "SlowDown", "SlowDown"),
        ],
    )
    async def test_says_what_to_do(self, status: int, code: str, advice: str) -> None:
        async with s3_that(lambda _: fault(status, code)) as store:
            with pytest.raises(StoreUnavailable, match=advice):
                await store.get("key")

    async def test_a_key_that_cannot_be_deleted(self) -> None:
        answer = "<DeleteResult><Error><Key>key</Key><Code>AccessDenied</Code></Error></DeleteResult>"
        async with s3_that(lambda _: http(200, answer.encode())) as store:
            with pytest.raises(StoreUnavailable, match="s3:DeleteObject"):
                await store.delete("key")

    async def test_a_race_that_is_called_off_is_lost(self) -> None:
        async with s3_that(lambda _: fault(409, "ConditionalRequestConflict")) as store:
            with pytest.raises(ObjectExists):
                await store.put("key", b"x", content_type="image/png", if_absent=True)

    async def test_metadata_that_no_header_can_carry(self) -> None:
        async with s3_that(lambda _: http(200)) as store:
            with pytest.raises(ValueError, match="ascii"):
                await store.put("key", b"x", content_type="image/png", metadata={"name": "Größe"})


class TestS3WithoutConditionalPuts:
    """Servers that answer 501 to If-None-Match."""

    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_what_is_absent_is_put(self, tmp_path: Path, from_file: bool) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"picture")
        puts = []

        def answer(request: str) -> bytes:
            match request.split()[:2]:
                case ["PUT", _] if "if-none-match: *" in request.lower():
                    return fault(501, "NotImplemented")
                case ["PUT", _]:
                    puts.append(request)
                    return http(200)
                case ["HEAD", "/bucket"]:
                    return http(200)
            return http(404)

        async with s3_that(answer) as store:
            await store.put("key", source if from_file else b"picture", content_type="image/png", if_absent=True)

        (put,) = puts
        assert put.endswith("\r\n\r\npicture")

    async def test_what_is_there_stays(self) -> None:
        def answer(request: str) -> bytes:
            assert request.startswith("HEAD") or "if-none-match: *" in request.lower()
            return http(200, b"", **OBJECT) if request.startswith("HEAD") else fault(501, "NotImplemented")

        async with s3_that(answer) as store:
            with pytest.raises(ObjectExists):
                await store.put("key", b"picture", content_type="image/png", if_absent=True)

    async def test_a_plain_put_has_nothing_to_fall_back_to(self) -> None:
        async with s3_that(lambda _: fault(501, "NotImplemented")) as store:
            with pytest.raises(StoreUnavailable, match="NotImplemented"):
                await store.put("key", b"picture", content_type="image/png")


OBJECT = {"last_modified": "Wed, 12 Oct 2022 17:50:00 GMT", "content_type": "image/png"}


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    fields = {"content_length": str(len(body)), "connection": "close"} | headers
    lines = [f"HTTP/1.1 {status} -", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def fault(status: int, code: str) -> bytes:
    return http(status, f"<Error><Code>{code}</Code></Error>".encode(), content_type="application/xml")


def fake_store(port: int) -> S3Store:
    return S3Store(
        "bucket",
        region="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id="id",
        secret_access_key="secret",
    )


@asynccontextmanager
async def s3_that(answer: Callable[[str], bytes]) -> AsyncIterator[S3Store]:
    """A store whose server answers each request, head and body, as it is told, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if line)
        if fields.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request += (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        writer.write(answer(request))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        store = fake_store(server.sockets[0].getsockname()[1])
        yield store
        await store.close()
