"""The memory for one image, compared with what the configured sizes need."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ingest.maintenance.doctor import size_checks
from ingest.maintenance.doctor.findings import Verdict
from proxy.settings import Settings
from tests.pictures import png

LARGE = {"large": {"width": 800, "height": 800}}


def judge(memory_mb: int, sizes: dict[str, Any] | None = None, **values: Any) -> tuple[Verdict, str]:
    given = {"render_memory_mb": memory_mb, "render_processes": 1} | values
    result = size_checks.memory(Settings(**given, **({"sizes": sizes} if sizes else {})))
    return result.verdict, result.remark


def test_enough_memory_is_ok() -> None:
    verdict, remark = judge(1024)

    assert verdict is Verdict.OK
    assert remark.startswith("960 MiB for one image; the sizes need at most ")


def test_default_size_beyond_the_least_memory_fails_and_names_the_setting() -> None:
    verdict, remark = judge(128, LARGE)

    assert verdict is Verdict.FAILED
    assert remark.startswith("RENDER_MEMORY_MB=128 leaves 64 MiB for one image.")
    assert "more in large.avif (" in remark
    enough = int(remark.partition("set it to ")[2].split()[0])
    assert judge(enough, LARGE)[0] is Verdict.OK
    assert judge(enough - 1, LARGE)[0] is Verdict.WARNING


def test_limit_of_a_process_is_named_if_it_is_the_lower_one() -> None:
    assert judge(4096, render_process_mb=256)[1].startswith("RENDER_PROCESS_MB=256 leaves 192 MiB for one image.")


def test_watermark_adds_to_the_needed_memory(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(png(Image.new("L", (1000, 1000))))
    plain = {"width": 60}
    marked = plain | {"watermark": {"file": str(tmp_path / "logo.png")}}

    remarks = [judge(1024, {"card": size})[1] for size in (plain, marked)]

    needed = [int(remark.partition("need at most ")[2].split()[0]) for remark in remarks]
    assert needed[1] > needed[0] + 8


@pytest.mark.parametrize(("animated", "verdict"), [(False, Verdict.WARNING), (True, Verdict.FAILED)])
def test_longest_animation_counts(*, animated: bool, verdict: Verdict) -> None:
    found, remark = judge(170, {"clip": {"width": 400, "animated": animated}})

    assert found is verdict
    assert ("clip.webp (" in remark) is animated
