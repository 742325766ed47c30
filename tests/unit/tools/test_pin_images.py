"""Digests of images, from a stand-in for Docker."""

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tools.locks import ROOT
from tools.pin_images import FILES, DigestNotFound, pin

DOCKER = """#!/bin/sh
[ "$1 $2 $3 $4 $5" = 'buildx imagetools inspect --format {{json .Manifest}}' ] || exit 9
case $6 in "$UNKNOWN") echo "$6: not found" >&2; exit 1;; esac
printf '{"digest": "sha256:%s", "size": 1}' "$(printf %s "$6" | sha256sum | cut -c 1-64)"
"""
"""The digest of an image is the SHA-256 of its name. Asking for the image UNKNOWN fails."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.defpath}")
    return tmp_path


def pinned(name: str) -> str:
    return f"{name}@sha256:{sha256(name.encode()).hexdigest()}"


def test_every_image_of_others_is_pinned(folder: Path) -> None:
    before = yaml.safe_load((folder / "deploy/compose.yaml").read_text())["services"]

    pin(folder)

    compose = yaml.safe_load((folder / "deploy/compose.yaml").read_text())
    for name, service in compose["services"].items():
        if "build" in service:
            assert service["image"] == "darkroom"
        else:
            assert service["image"] == pinned(before[name]["image"])
    assert compose["x-darkroom"]["build"]["args"]["BASE"] == f"${{BASE_IMAGE:-{pinned('python:3.11-slim')}}}"
    assert f"ARG BASE={pinned('python:3.11-slim')}\n" in (folder / "Dockerfile").read_text()


def test_newer_digests_replace_older_ones_and_nothing_else(folder: Path) -> None:
    pin(folder)
    texts = {name: (folder / name).read_text() for name in FILES}
    for name, text in texts.items():
        (folder / name).write_text(re.sub("@sha256:[0-9a-f]{64}", "@sha256:" + "0" * 64, text))

    pin(folder)

    assert {name: (folder / name).read_text() for name in FILES} == texts
    assert {name: re.sub("@sha256:[0-9a-f]{64}", "", text) for name, text in texts.items()} == {
        name: re.sub("@sha256:[0-9a-f]{64}", "", (ROOT / name).read_text()) for name in FILES
    }


def test_image_without_digest_changes_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNKNOWN", "redis:8")

    with pytest.raises(DigestNotFound, match="redis:8: not found"):
        pin(folder)

    assert all((folder / name).read_text() == (ROOT / name).read_text() for name in FILES)


def test_without_docker_no_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))

    with pytest.raises(DigestNotFound, match="No such file or directory: 'docker'"):
        pin(folder)

    assert all((folder / name).read_text() == (ROOT / name).read_text() for name in FILES)
