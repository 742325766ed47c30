"""Full disks and exhausted file descriptors."""

import itertools
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from ingest.maintenance.garbage_collector import GarbageKind
from tests.client import complete, until
from tests.cluster import TINY, Cluster
from tests.conftest import missing
from tests.faults.garbage import collect
from tests.faults.judge import MARGIN, Judge
from tests.faults.scene import MORE, NAMES, alive, paths, ready, refused_upload, uploaded
from tests.http_client import http
from tests.service import Service
from tests.watch import open_descriptors

pytestmark = pytest.mark.slow

ANSWER = 5 + MARGIN


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mounts a small file system in memory, which a test can fill without harm. Needs root, as in `.ci/run`."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        missing("only root may mount a file system to fill")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fills the file system to the last byte."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
    except OSError:
        pass
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "darkroom.toml").write_text(TINY)
    return tmp_path


@pytest.mark.promise("E3")
def test_full_disk_of_the_embedded_service_serves_stored_variants(home: Path, judge: Judge) -> None:
    """Objects, SQLite and temporary files on one disk: stored variants are served, uploads rejected, and nothing is
    lost.
    """
    with small_disk(home / "data", 8), Service(home, RENDER_PROCESSES="1") as service:
        upload_ids = [uploaded(service) for _ in range(2)]
        until(lambda: complete(service, *upload_ids))
        stored = [service.url + path for path in paths(upload_ids[0], NAMES)]
        new = [service.url + path for path in paths(upload_ids[1], MORE[:4])]
        with filled(home / "data"):
            assert judge.outcomes(stored) == {"ok"}
            assert judge.outcomes(new) == {"store_unavailable"}
            refused_upload(service, "catalog_unavailable", within=2 * ANSWER)
            assert alive(service)
        assert judge.outcomes(new) == {"ok"}
        again = uploaded(service)
        until(lambda: complete(service, again))
        for upload_id in (*upload_ids, again):
            assert judge.outcomes([service.url + p for p in paths(upload_id, NAMES)]) == {"ok"}
        service.stop()
        assert not collect(home)


@pytest.mark.promise("B12")
def test_full_object_disk_serves_new_variants_unstored(home: Path, judge: Judge) -> None:
    """Variants are derived and served, but not stored."""
    with small_disk(home / "data" / "objects", 1), Service(home, WARM_UP="false", RENDER_PROCESSES="1") as service:
        upload_id = uploaded(service)
        urls = [service.url + path for path in paths(upload_id, NAMES)]
        with filled(home / "data" / "objects"):
            assert judge.outcomes(urls) == {"ok"}
            refused_upload(service, "store_unavailable", within=ANSWER)
            until(lambda: service.metric("darkroom_write_backs_total", outcome="failed") == len(NAMES))
        assert not [*(home / "data" / "objects").rglob("*.webp")]
        assert len(http.get(f"{service.url}/images").json()["images"]) == 1
        assert uploaded(service)
        service.stop()
        assert not collect(home)


@pytest.mark.promise("B12")
def test_full_temporary_disk_refuses_uploads_until_there_is_room(cluster: Cluster, judge: Judge) -> None:
    """An upload and a derivation each need a copy of the original."""
    home = cluster.machine("full")
    with small_disk(home / "data" / "tmp", 1), cluster.serve("full", WARM_UP="false") as service:
        upload_id = uploaded(service)
        [first, *others] = [service.url + path for path in paths(upload_id, NAMES)]
        assert judge.get(first).status == 200
        until(lambda: cluster.objects("images/"))
        before = cluster.objects(), cluster.rows()
        with filled(home / "data" / "tmp"):
            assert judge.outcomes(others) == {"unavailable"}
            assert judge.get(first).headers["cache-status"] == "darkroom; hit"
            refused_upload(service, "unavailable", within=ANSWER)
            assert (cluster.objects(), cluster.rows()) == before
            assert alive(service)
            assert not [path for path in (home / "data" / "tmp").iterdir() if path.name != "filler"]
        assert judge.outcomes(others) == {"ok"}
        assert uploaded(service)


def recovered(service: Service) -> bool:
    """Returns False while connections are reset because no descriptors are left."""
    with suppress(httpx.TransportError):
        return alive(service) and ready(service) is None
    return False


@pytest.mark.promise("B13")
def test_exhausted_descriptors_recover_when_clients_leave(home: Path, judge: Judge) -> None:
    """`ulimit -n 64`, and 200 silent connections."""
    with Service(home, RENDER_PROCESSES="1") as service:
        upload_id = uploaded(service)
        until(lambda: complete(service, upload_id))
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (64, 64))
        host, _, port = service.url.removeprefix("http://").partition(":")
        with ExitStack() as stack:
            for _ in range(200):
                connection = stack.enter_context(socket.socket())
                connection.settimeout(5)
                connection.connect((host, int(port)))
            until(lambda: open_descriptors(service.pid) >= 60)  # hardly any are left
            time.sleep(2)
        until(lambda: recovered(service), 10)
        assert judge.outcomes([service.url + p for p in paths(upload_id, NAMES)]) == {"ok"}
        again = uploaded(service)
        until(lambda: complete(service, again))
        service.stop()
    assert {*collect(home)} <= {GarbageKind.TEMPORARY}


@pytest.mark.promise("C9")
def test_damaged_stored_variant_is_derived_again(home: Path, judge: Judge) -> None:
    """As after a power cut: truncated, with zeros in it, or only zeros."""
    with Service(home, RENDER_PROCESSES="1") as service:
        upload_id = uploaded(service)
        until(lambda: complete(service, upload_id))
        files = [home / "data" / "objects" / path[1:] for path in paths(upload_id, NAMES)]
        whole = [file.read_bytes() for file in files]
        damages = [lambda whole: whole[:-100], lambda whole: whole[:-100] + bytes(100), lambda whole: bytes(len(whole))]
        for file, content, damage in zip(files, whole, itertools.cycle(damages), strict=False):
            file.write_bytes(damage(content))
        service.stop()
        service.start()  # with an empty memory cache

        assert judge.outcomes([service.url + path for path in paths(upload_id, NAMES)]) == {"ok"}
        until(lambda: [file.exists() and file.read_bytes() for file in files] == whole)
