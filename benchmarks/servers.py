"""The servers that are compared: Darkroom as in its README, the peers as their own documents advise.

All have the same originals: the peers read a folder, Darkroom gets them as uploads first. All listen on loopback only.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from benchmarks.corpus import Picture
from benchmarks.peers import install
from benchmarks.peers.worker import ROOT, peak_mib
from proxy.model import Format
from tests.server import free_port

START_TIMEOUT = 60
SIZES = {150: "small", 400: "medium", 800: "large"}
QUALITY = {Format.JPG: 85, Format.WEBP: 85}
THUMBOR = """
ALLOW_UNSAFE_URL = True
AUTO_WEBP = False
ENGINE_THREADPOOL_SIZE = 0
FILE_LOADER_ROOT_PATH = "{originals}"
LOADER = "thumbor.loaders.file_loader"
MAX_AGE = 31536000
RESPECT_ORIENTATION = True
RESULT_STORAGE = "thumbor.result_storages.file_storage"
RESULT_STORAGE_EXPIRATION_SECONDS = 31536000
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = "{folder}/results"
RESULT_STORAGE_STORES_UNSAFE = True
STORAGE = "thumbor.storages.no_storage"
"""
NGINX = """
daemon off;
error_log stderr;
pid nginx.pid;
worker_processes 1;
{user}
events {{}}
http {{
    access_log off;
    keepalive_requests 100000000;
    sendfile on;
    types {{ image/jpeg jpg; }}
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """`original` is a file name in the folder of originals."""

    original: str
    side: int
    format: Format


class Server:
    """A process with its children that listens on `port`. `path` returns a variant's URL path."""

    def __init__(self, name: str, command: list[str], folder: Path, port: int, path: Callable[[Variant], str]) -> None:
        self.name = name
        self.port = port
        self.path = path
        self._command = command
        self._folder = folder

    def __enter__(self) -> Self:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return self
            except OSError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError(f"{self.name} did not start:\n{(self._folder / 'server.log').read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def peak(self) -> float:
        """Returns MiB: the sum of each process's own peak, which is an upper bound."""
        return sum(peak_mib(pid) for pid in self._processes())

    def cpu(self) -> float:
        """Returns the seconds of processor time of all its processes."""
        ticks = 0
        for pid in self._processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> Iterator[int]:
        found = [self._process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return iter(found)


class Originals:
    """Copies images under new names, so that each copy has cold variants."""

    def __init__(self, folder: Path) -> None:
        self.folder = _made(folder)
        self._count = 0
        self._uploads: dict[str, str] = {}

    def add(self, picture: Picture) -> str:
        self._count += 1
        name = f"{self._count}{picture.path.suffix}"
        os.link(picture.path, self.folder / name)
        return name

    def send(self, server: Server, names: Iterable[str]) -> None:
        """Uploads originals to Darkroom. The peers read the folder."""
        if server.name != "Darkroom":
            return
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
            for name in names:
                with (self.folder / name).open("rb") as file:
                    answer = client.post("/images/upload", files={"image": file})
                answer.raise_for_status()
                self._uploads[name] = answer.json()["uploadId"]

    def id_of(self, name: str) -> str:
        return self._uploads[name]


def darkroom(folder: Path, originals: Originals, *, warm_up: bool = False) -> Server:
    port = free_port()
    command = [str(Path(sys.executable).with_name("darkroom")), "serve", "--port", str(port)]
    settings = {"WARM_UP": str(warm_up).lower(), "LOG_FORMAT": "json"}
    return Server(
        "Darkroom",
        ["env", "-i", f"PATH={os.defpath}", *(f"{name}={value}" for name, value in settings.items()), *command],
        _made(folder / "darkroom"),
        port,
        lambda variant: f"/images/{originals.id_of(variant.original)}/{SIZES[variant.side]}.{variant.format}",
    )


def ipx(folder: Path, originals: Originals, avif_quality: int) -> Server | None:
    node, port = install.node(), free_port()
    if node is None:
        return None

    def path(variant: Variant) -> str:
        # With a quality, IPX reduces a PNG to 256 colours.
        quality = "" if variant.format is Format.PNG else f",q_{QUALITY.get(variant.format, avif_quality)}"
        format = "jpeg" if variant.format is Format.JPG else variant.format
        return f"/s_{variant.side}x{variant.side},fit_cover,f_{format}{quality}/{variant.original}"

    command = ["node", str(node / "node_modules/ipx/bin/ipx.mjs"), "serve", "--dir", str(originals.folder)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return Server("IPX", ["env", "NODE_ENV=production", *command, *address], _made(folder / "ipx"), port, path)


def thumbor(folder: Path, originals: Originals, avif_quality: int, *, processes: int) -> Server | None:
    python, port = install.python("thumbor"), free_port()
    if python is None:
        return None
    here = _made(folder / f"thumbor-{processes}")
    (here / "thumbor.conf").write_text(THUMBOR.format(originals=originals.folder, folder=here))

    def path(variant: Variant) -> str:
        format = "jpeg" if variant.format is Format.JPG else variant.format
        filters = f"format({format}):quality({QUALITY.get(variant.format, avif_quality)})"
        return f"/unsafe/{variant.side}x{variant.side}/filters:{filters}/{variant.original}"

    command = [str(python.with_name("thumbor")), "--ip", "127.0.0.1", "--port", str(port), "--conf", "thumbor.conf"]
    return Server(f"thumbor, {processes} processes", [*command, "--processes", str(processes)], here, port, path)


def bare_uvicorn(folder: Path, body: bytes, headers: Mapping[str, str]) -> Server:
    """A bare uvicorn that sends the same bytes with the same settings: the upper limit for ASGI applications."""
    here, port = _made(folder / "uvicorn"), free_port()
    (here / "variant.jpg").write_bytes(body)
    (here / "headers.json").write_text(json.dumps(dict(headers)))
    command = [sys.executable, "-m", "uvicorn", "benchmarks.peers.ceiling:app", "--app-dir", str(ROOT)]
    options = ["--port", str(port), "--http", "httptools", "--loop", "uvloop", "--log-level", "warning"]
    quiet = ["--no-access-log", "--no-server-header", "--no-proxy-headers"]
    return Server("bare uvicorn", [*command, *options, *quiet], here, port, lambda _: "/variant.jpg")


def nginx(folder: Path, body: bytes) -> Server | None:
    program = shutil.which("nginx")
    if program is None:
        return None
    here, port = _made(folder / "nginx"), free_port()
    (here / "variant.jpg").write_bytes(body)
    user = "user root;" if os.geteuid() == 0 else ""
    (here / "nginx.conf").write_text(NGINX.format(folder=here, port=port, user=user))
    command = [program, "-e", "stderr", "-p", str(here), "-c", "nginx.conf"]
    return Server("nginx, a file", command, here, port, lambda _: "/variant.jpg")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
