"""Memory, disk, file descriptors and codecs of this machine."""

import os
import shutil
import stat
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ingest.maintenance.doctor import machine_checks
from ingest.maintenance.doctor.findings import Verdict, ok
from proxy import system
from proxy.imaging import encode
from proxy.settings import Settings
from tests.pictures import png


def settings(**values: Any) -> Settings:
    given = {"render_memory_mb": 1000, "render_processes": 2, "render_process_mb": 512, "memory_cache_mb": 24}
    return Settings(**given | values)


@pytest.mark.parametrize(
    ("total_mb", "address_space_mb", "verdict", "words"),
    [
        (2048, None, Verdict.OK, "1000 of 2048 MiB for 2 render processes"),
        (1280, None, Verdict.OK, ""),
        (1279, None, Verdict.WARNING, "RENDER_MEMORY_MB=1000 and MEMORY_CACHE_MB=24 leave little of 1279 MiB"),
        (1024, None, Verdict.WARNING, "lower them"),
        (1023, None, Verdict.FAILED, "exceed the 1023 MiB"),
        (2048, 511, Verdict.FAILED, "RENDER_PROCESS_MB=512"),
        (2048, 512, Verdict.OK, ""),
    ],
)
def test_memory_check_returns_verdict_and_advice(
    total_mb: int, address_space_mb: int | None, verdict: Verdict, words: str
) -> None:
    address_space = address_space_mb and address_space_mb << 20

    judged = machine_checks.memory(settings(), total_mb << 20, address_space)

    assert judged.verdict is verdict
    assert words in judged.remark


def test_memory_check_of_one_render_process_uses_the_singular() -> None:
    judged = machine_checks.memory(settings(render_processes=1), 2048 << 20, None)

    assert judged.remark == "1000 of 2048 MiB for 1 render process"


@pytest.mark.parametrize(
    ("free_mb", "verdict"), [(100, Verdict.OK), (99, Verdict.WARNING), (20, Verdict.WARNING), (19, Verdict.FAILED)]
)
def test_room_counts_concurrent_uploads(free_mb: int, verdict: Verdict) -> None:
    """Two processes and eight waiting derivations, of 10 MiB each."""
    judged = machine_checks.free_space(Path("/data/tmp"), free_mb, settings(max_waiting=8))

    assert judged.verdict is verdict
    assert "/data/tmp" in judged.remark
    assert f"{free_mb} MiB" in judged.remark
    assert ("DATA_DIR" in judged.remark) is (verdict is not Verdict.OK)


async def test_temporary_files_check_creates_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    judged = await machine_checks.temporary_files(settings(data_dir=tmp_path, max_waiting=1))

    assert judged.verdict is Verdict.OK
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("memory_mb", "remark"),
    [(1524, ", 500 MiB of memory free"), (1034, " has 10 MiB of memory left"), (1000, " has 0 MiB of memory left")],
)
async def test_room_in_tmpfs_is_the_memory_that_rendering_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_mb: int, remark: str
) -> None:
    """Rendering and the memory cache may take 1024 MiB."""
    monkeypatch.setattr(system, "is_in_memory", lambda _: True)
    monkeypatch.setattr(system, "memory", lambda: memory_mb << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40))

    judged = await machine_checks.temporary_files(settings(data_dir=tmp_path, max_waiting=8))

    assert f"{tmp_path / 'tmp'}{remark}" in judged.remark


async def test_unwritable_folder_fails_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "tmp").write_bytes(b"")

    judged = await machine_checks.temporary_files(settings(data_dir=tmp_path))

    assert judged.verdict is Verdict.FAILED
    assert str(tmp_path / "tmp") in judged.remark


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(None, Verdict.OK), (65_536, Verdict.OK), (1024, Verdict.OK), (1023, Verdict.WARNING), (255, Verdict.FAILED)],
)
def test_file_descriptor_check_returns_verdict_and_advice(limit: int | None, verdict: Verdict) -> None:
    judged = machine_checks.file_descriptors(limit)

    assert judged.verdict is verdict
    assert ("ulimit -n" in judged.remark) is (verdict is not Verdict.OK)


def test_installed_pillow_has_every_codec() -> None:
    assert machine_checks.codecs(encode.versions()).verdict is Verdict.OK


@pytest.mark.parametrize(("library", "what"), [("webp", "WebP"), ("avif", "AVIF"), ("littlecms2", "colour profiles")])
def test_pillow_without_a_codec_fails(library: str, what: str) -> None:
    judged = machine_checks.codecs(encode.versions() | {library: ""})

    assert judged.verdict is Verdict.FAILED
    assert f"lacks {what}" in judged.remark


@pytest.mark.heavy
async def test_render_process_is_started_and_its_lock_reported() -> None:
    result = await machine_checks.render_processes(Settings(render_sandbox="off"))

    assert result == machine_checks.judge_sandbox(Settings(render_sandbox="off"), frozenset())


@pytest.mark.heavy
async def test_watermark_that_cannot_be_decoded_fails_and_is_named(tmp_path: Path) -> None:
    whole = png(Image.linear_gradient("L"))
    (tmp_path / "logo.png").write_bytes(whole[: len(whole) // 2])
    given = settings(sizes={"card": {"width": 9, "watermark": {"file": str(tmp_path / "logo.png")}}})

    judged = await machine_checks.render_processes(given)

    assert judged.verdict is Verdict.FAILED
    assert (
        judged.remark == f"The watermark {tmp_path}/logo.png cannot be decoded. Export the file again, as PNG or WebP."
    )


@pytest.mark.parametrize(
    ("mode", "locks", "verdict", "text"),
    [
        ("auto", {"seccomp"}, Verdict.OK, "locked by seccomp"),
        ("required", {"landlock", "seccomp"}, Verdict.OK, "locked by seccomp and landlock"),
        ("auto", set(), Verdict.WARNING, "This system cannot lock render processes"),
        ("auto", {"landlock"}, Verdict.WARNING, "This system cannot lock render processes"),
        ("off", set(), Verdict.WARNING, "RENDER_SANDBOX=off"),
    ],
)
def test_lock_is_reported(mode: Any, locks: set[str], verdict: Verdict, text: str) -> None:
    result = machine_checks.judge_sandbox(Settings(render_sandbox=mode), locks)

    assert result.verdict is verdict
    assert text in result.remark


def test_libvips_is_ok_with_and_without() -> None:
    there, away = machine_checks.libvips(settings(), "8.18.7"), machine_checks.libvips(settings(), "")

    assert (there.verdict, away.verdict) == (Verdict.OK, Verdict.OK)
    assert "8.18.7" in there.remark
    assert "more time and memory" in away.remark


AUTO = {"sizes": {"card": {"width": 64, "quality": "auto"}}}


@pytest.mark.parametrize("values", [{}, AUTO], ids=["fixed", "auto"])
def test_installed_numpy_is_ok_with_its_version(values: dict[str, Any]) -> None:
    judged = machine_checks.numpy(settings(**values))

    assert judged == ok(f'numpy {version("numpy")} measures the qualities of sizes with quality = "auto"')


def test_missing_numpy_is_ok_without_a_size_that_needs_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "find_spec", lambda _: None)

    assert machine_checks.numpy(settings()) == ok("not installed; no size needs it")


def test_missing_numpy_fails_with_a_size_that_needs_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "find_spec", lambda _: None)

    judged = machine_checks.numpy(settings(**AUTO))

    assert judged.verdict is Verdict.FAILED
    assert judged.remark.startswith(
        'sizes: quality = "auto" of card needs numpy, which is not installed. Run pip install '
    )


def test_each_missing_extra_is_reported_by_its_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "find_spec", lambda _: None)
    attention = settings(sizes={"hero": {"width": 64, "height": 64, "position": "attention"}})

    assert machine_checks.numpy(attention) == ok("not installed; no size needs it")
    assert machine_checks.libvips(settings(**AUTO), "").verdict is Verdict.OK
    judged = machine_checks.libvips(attention, "")
    assert judged.verdict is Verdict.FAILED
    assert judged.remark.startswith('sizes: position = "attention" of hero needs libvips, which is not installed. Run ')


class TestPrivacy:
    def test_missing_folder_is_skipped(self, tmp_path: Path) -> None:
        assert machine_checks.privacy(tmp_path / "data").verdict is Verdict.SKIPPED

    @pytest.mark.parametrize("mode", [0o700, 0o770])
    def test_private_folder_is_ok_with_any_content(self, tmp_path: Path, mode: int) -> None:
        (tmp_path / "open").write_bytes(b"")
        (tmp_path / "open").chmod(0o666)
        tmp_path.chmod(mode)

        assert machine_checks.privacy(tmp_path).verdict is Verdict.OK

    @pytest.mark.parametrize("mode", [0o755, 0o711, 0o1777, 0o704])
    def test_folder_open_to_others_is_a_warning_with_the_command(self, tmp_path: Path, mode: int) -> None:
        tmp_path.chmod(mode)

        judged = machine_checks.privacy(tmp_path)

        assert judged.verdict is Verdict.WARNING
        assert f"chmod -R o= {tmp_path}" in judged.remark

    def test_link_to_a_folder_open_to_others_is_a_warning(self, tmp_path: Path) -> None:
        (tmp_path / "is open").mkdir()
        (tmp_path / "is open").chmod(0o755)
        (tmp_path / "data").symlink_to("is open")

        judged = machine_checks.privacy(tmp_path / "data")

        assert judged.verdict is Verdict.WARNING
        assert f"chmod -R o= '{tmp_path / 'is open'}'" in judged.remark

    def test_content_is_judged_in_a_folder_of_another_account(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, mode in {"objects": 0o700, "tmp": 0o755}.items():
            (tmp_path / name).mkdir()
            (tmp_path / name).chmod(mode)
        tmp_path.chmod(0o777)
        lstat = Path.lstat

        def foreign_folder(path: Path) -> os.stat_result:
            values = list(lstat(path))
            values[stat.ST_UID] += path == tmp_path
            return os.stat_result(values)

        monkeypatch.setattr(Path, "lstat", foreign_folder)
        judged = machine_checks.privacy(tmp_path)
        (tmp_path / "tmp").chmod(0o700)

        assert judged.verdict is Verdict.WARNING
        assert f"access {tmp_path / 'tmp'}:" in judged.remark
        assert machine_checks.privacy(tmp_path).verdict is Verdict.OK
