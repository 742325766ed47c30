"""The date and machine of a run, for the report's head."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.peers import install
from proxy.imaging.encode import versions


def main() -> None:
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; "
        f"Python {platform.python_version()}, Pillow {version('pillow')} "
        f"({', '.join(f'{name} {number}' for name, number in versions().items() if name != 'pil')}), "
        f"uvicorn {version('uvicorn')}; {', '.join([*peers(), *programs()])}.",
        flush=True,
    )


def peers() -> list[str]:
    found = []
    if node := install.node():
        about = "import s from 'sharp'; console.log(JSON.stringify([process.version, s.versions]))"
        command = ["node", "--input-type=module", "--eval", about]
        answer = subprocess.run(command, cwd=node, capture_output=True, check=True).stdout
        itself, sharp = json.loads(answer)
        packages = json.loads((node / "package-lock.json").read_text())["packages"]
        inner = packages.get("node_modules/ipx/node_modules/sharp", packages["node_modules/sharp"])["version"]
        found += [
            f"Node {itself[1:]}",
            f"sharp {sharp['sharp']} (libvips {sharp['vips']})",
            f"IPX {packages['node_modules/ipx']['version']} (with its sharp {inner})",
        ]
    if python := install.python("thumbor"):
        about = "from importlib.metadata import version as v; print(v('thumbor'), v('pillow'))"
        answer = subprocess.run([str(python), "-c", about], capture_output=True, check=True, text=True).stdout
        found.append("thumbor {} (Pillow {})".format(*answer.split()))
    return found


def programs() -> list[str]:
    found = []
    for command in (["wrk", "-v"], ["nginx", "-v"]):
        try:
            answer = subprocess.run(command, capture_output=True, check=False, text=True)
        except FileNotFoundError:
            found.append(f"{command[0]} missing")
            continue
        if match := re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr):
            found.append(f"{command[0]} {match[0]}")
    return found
