"""The JavaScript client (clients/js), compiled by TypeScript, and Node to run it.

`make clients-js` installs TypeScript; its tests are skipped without it.
"""

import os
import subprocess
from pathlib import Path

from filelock import FileLock

from tests.conftest import missing, need
from tests.programs import find

CLIENT = Path(__file__).parents[1] / "clients" / "js"
DIST = CLIENT / "dist"
_COMPILER = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
_COMPILE_SECONDS = 120  # it takes 2 on an idle core


def compiled() -> Path:
    """Returns the client's folder, with `dist` up to date. Several processes may ask at a time: one compiles."""
    need(find("node"), "nodejs")
    if not _COMPILER.exists():
        missing("needs TypeScript: make clients-js")
    with FileLock(CLIENT / "node_modules" / ".compiling"):
        if _is_stale():
            done = compiler("-p", ".")
            assert done.returncode == 0, done.stdout
    return CLIENT


def _is_stale() -> bool:
    sources = [*CLIENT.glob("src/*.ts"), CLIENT / "tsconfig.json", CLIENT / "package-lock.json"]
    built = [DIST / f"{path.stem}.js" for path in CLIENT.glob("src/*.ts")]
    if {path.name for path in DIST.glob("*.js")} != {path.name for path in built}:
        for path in DIST.glob("*"):  # of a source that is gone
            path.unlink()
        return True
    return min(path.stat().st_mtime for path in built) < max(path.stat().st_mtime for path in sources)


def compiler(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs TypeScript in the client's folder."""
    return _run(str(find("node")), str(_COMPILER), *arguments, seconds=_COMPILE_SECONDS)


def node(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs Node in the client's folder. Node 18 has Web Crypto as a global only with an option."""
    return _run(str(find("node")), "--experimental-global-webcrypto", *arguments, seconds=seconds)


def npm(*arguments: str) -> subprocess.CompletedProcess[str]:
    need(find("npm"), "npm")
    return _run(str(find("npm")), *arguments, seconds=120)


def _run(*command: str, seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}  # noqa: TID251 - what Node inherits, not a setting of Darkroom
    return subprocess.run(
        command, cwd=CLIENT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
