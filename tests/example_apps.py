"""Runs an example of `examples/` by the commands of its README."""

import base64
import hmac
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.client import until
from tests.conftest import need
from tests.http_client import http
from tests.programs import find
from tests.server import free_port
from tests.service import PATIENT, Program, environment

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
KEY = "a-key-of-the-tests-alone"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
PORTS = {"darkroom": "8000", "example": "3000"}
"""As the READMEs have them."""


@dataclass(frozen=True)
class Example:
    url: str
    darkroom: str
    secrets: dict[str, str]

    def uploads(self, **filters: str) -> list[dict[str, Any]]:
        answer = http.get(f"{self.darkroom}/images", params=filters, headers=AUTHORIZED)
        uploads: list[dict[str, Any]] = answer.raise_for_status().json()["images"]
        return uploads

    def delete(self, upload_id: str) -> None:
        http.delete(f"{self.darkroom}/images/{upload_id}", headers=AUTHORIZED).raise_for_status()

    def send_webhook(self, kind: str, data: dict[str, Any], message: str, secret: str = "") -> int:
        """Sends it as https://www.standardwebhooks.com describes it. Returns the status."""
        body = json.dumps({"type": kind, "timestamp": "2026-01-01T00:00:00Z", "data": data}).encode()
        now = str(int(time.time()))
        key = base64.b64decode((secret or self.secrets["WEBHOOK_SECRET"]).removeprefix("whsec_"))
        signature = base64.b64encode(hmac.digest(key, f"{message}.{now}.".encode() + body, "sha256")).decode()
        headers = {"webhook-id": message, "webhook-timestamp": now, "webhook-signature": f"v1,{signature}"}
        return http.post(f"{self.url}/hooks/darkroom", content=body, headers=headers).status_code


class Terminal(Program):
    """Runs commands in a shell, until it is killed."""

    def __init__(self, name: str, folder: Path, commands: str) -> None:
        super().__init__(folder, **PATIENT)
        self.program = ("bash", "-ec", commands)
        self.log_name = f"{name}.log"


def commands(readme: str) -> tuple[str, str, str, str]:
    """Returns the blocks of commands: they install, make secrets, start Darkroom, and start the example."""
    install, secrets, darkroom, example, *_ = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return install, secrets, darkroom, example


@contextmanager
def running(name: str, root: Path) -> Iterator[Example]:
    """Starts Darkroom and the example in a copy of the checkout, with other ports and without installing anything."""
    for program in ("openssl", "curl"):
        need(find(program), program)
    folder = root / "examples" / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("venv", "data", "*.db", "*.env"))
    (root / "clients").symlink_to(ROOT / "clients")
    for environment_folder in (root / ".venv", folder / "venv"):
        environment_folder.symlink_to(sys.prefix)
    text = (folder / "README.md").read_text().replace("export API_KEYS=", f"export API_KEYS=tests:admin:{KEY},")
    ports = {name: str(free_port()) for name in PORTS}
    for each, port in PORTS.items():
        text = re.sub(rf"\b{port}\b", ports[each], text)
    _, make_secrets, start_darkroom, start_example = commands(text)
    subprocess.run(["bash", "-ec", make_secrets], cwd=folder, env=environment({}), check=True, timeout=60)
    secrets = dict(re.findall(r"^export (\w+)=(.+)$", (folder / "secrets.env").read_text(), re.MULTILINE))
    darkroom, url = (f"http://127.0.0.1:{port}" for port in ports.values())
    with Terminal("darkroom", folder, start_darkroom) as server:
        until_it_runs(server, lambda: http.get(f"{darkroom}/readyz").status_code == 200)
        with Terminal("example", folder, start_example) as back_end:
            until_it_runs(back_end, lambda: http.get(url).status_code < 400)
            yield Example(url, darkroom, secrets)


def until_it_runs(terminal: Terminal, answers: Callable[[], bool]) -> None:
    def attempt() -> bool:
        try:
            return answers()
        except httpx.TransportError:
            return False

    try:
        until(attempt)
    except AssertionError:
        raise AssertionError(f"it did not start:\n{terminal.log()}") from None
