"""The operator's guide: its commands for nginx."""

import re
import subprocess
from pathlib import Path
from uuid import uuid4

from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, ROOT, Answer, StubOrigin, nginx


def test_guide_makes_nginx_use_several_servers_and_the_secret(tmp_path: Path) -> None:
    need(PROGRAM, "nginx-light")
    [command] = re.findall(
        r"^sed .+?nginx\.conf$", (ROOT / "docs/guides/operator.md").read_text(), re.DOTALL | re.MULTILINE
    )
    shipped = (ROOT / "nginx.conf").read_text()
    edited = tmp_path / "nginx.conf"
    edited.write_text(shipped)
    subprocess.run(["sh", "-c", command.replace("/etc/nginx/nginx.conf", str(edited))], check=True)
    maps = [line.strip() for line in shipped.splitlines() if re.search(r'map "" \$(proxy|ingest) ', line)]
    assert 'map "" $edge_secret { default "EDGE_SECRET"; }' in edited.read_text()
    groups = re.findall(r"upstream .+\n.+", edited.read_text())

    with StubOrigin() as proxies, StubOrigin() as ingests:
        proxies.answer, ingests.answer = Answer(body=b"proxy"), Answer(body=b"ingest")
        local = {"10.0.0.1:8000": proxies, "10.0.0.2:8000": proxies, "10.0.0.1:8001": ingests, "10.0.0.2:8001": ingests}
        for address, stub in local.items():
            assert sum(address in group for group in groups) == 1
            groups = [group.replace(address, f"127.0.0.1:{stub.port}") for group in groups]
        changes = dict(zip(maps, groups, strict=True))
        with nginx(tmp_path, "http://proxy:8000", "http://ingest:8000", changes=changes) as url:
            assert http.get(f"{url}/images/{uuid4()}/small.jpg").content == b"proxy"
            assert http.get(f"{url}/images").content == b"ingest"
