"""Writes the digest of each third-party image into the files that name it, next to its tag.

Run `make pin-images`, which needs Docker with buildx and the images' registry. Run it again to take newer digests.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from tools.locks import ROOT

FILES = ("Dockerfile", "deploy/compose.yaml")
_TIMEOUT = 60  # seconds for one image
_IMAGE = re.compile(
    r"(?P<before>^ARG BASE=|^ +image: |\bBASE_IMAGE:-)(?P<name>[a-z0-9][\w./-]*:[\w.-]+)(?:@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)


class DigestNotFound(Exception):
    """The registry could not be asked. No file has changed."""


def digest(image: str) -> str:
    """Returns the digest of the image's index, which covers all platforms. Raises DigestNotFound."""
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image]
    try:
        asked = subprocess.run(command, capture_output=True, check=True, text=True, timeout=_TIMEOUT)
        found = json.loads(asked.stdout)["digest"]
    except subprocess.CalledProcessError as error:
        raise DigestNotFound(f"{image}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise DigestNotFound(f"{image}: {error}") from error
    if not re.fullmatch("sha256:[0-9a-f]{64}", found):
        raise DigestNotFound(f"{image}: {found!r} is no digest")
    return str(found)


def pin(folder: Path = ROOT) -> dict[str, str]:
    """Pins all images in the files below `folder`. Returns their digests. Raises DigestNotFound."""
    texts = {path: path.read_text() for path in (folder / name for name in FILES)}
    names = {found["name"] for text in texts.values() for found in _IMAGE.finditer(text)}
    digests = {name: digest(name) for name in sorted(names)}
    for path, text in texts.items():
        path.write_text(_IMAGE.sub(lambda found: f"{found['before']}{found['name']}@{digests[found['name']]}", text))
    return digests


if __name__ == "__main__":
    try:
        for image, pinned in pin().items():
            print(f"{image}@{pinned}")
    except DigestNotFound as error:
        sys.exit(f"Nothing was pinned. {error}")
