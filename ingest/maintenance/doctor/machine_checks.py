"""Checks this machine's memory, disk, file descriptors, codecs and render processes."""

import os
import shutil
import stat
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from shlex import quote
from uuid import uuid4

import anyio
import anyio.to_thread

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from proxy import system
from proxy.errors import ServiceError
from proxy.services import try_render_process
from proxy.settings import Settings, SettingsError
from proxy.settings.extras import lack_of_extras

_MAX_SHARE = 0.8  # of the memory; the rest is for the servers themselves and for the system
_LIBRARIES = {"webp": "WebP", "avif": "AVIF", "littlecms2": "colour profiles"}
_FEW_FILES, _TOO_FEW_FILES = 1024, 256


def memory(settings: Settings, total: int, address_space: int | None) -> CheckResult:
    """Checks that the memory settings fit the machine.

    `total`: bytes of the machine or container. `address_space`: bytes allowed to one process, None if unlimited.
    """
    total_mb, wanted = total >> 20, settings.render_memory_mb + settings.memory_cache_mb
    budget = f"RENDER_MEMORY_MB={settings.render_memory_mb} and MEMORY_CACHE_MB={settings.memory_cache_mb}"
    if wanted > total_mb:
        return failed(f"{budget} exceed the {total_mb} MiB of memory: the kernel will kill processes. Lower them.")
    if address_space is not None and address_space >> 20 < settings.render_process_mb:
        return failed(
            f"RENDER_PROCESS_MB={settings.render_process_mb} exceeds this machine's limit for a process "
            f"({address_space >> 20} MiB, `ulimit -v`): raise the limit, or lower RENDER_PROCESS_MB."
        )
    if wanted > _MAX_SHARE * total_mb:
        return warning(f"{budget} leave little of {total_mb} MiB for everything else: lower them, or add memory.")
    processes = f"{settings.render_processes} render process{'' if settings.render_processes == 1 else 'es'}"
    return ok(f"{settings.render_memory_mb} of {total_mb} MiB for {processes}")


async def temporary_files(settings: Settings) -> CheckResult:
    """Checks that the folder is writable and has room for concurrent uploads and copies of originals."""
    folder = settings.temporary
    try:
        free = await anyio.to_thread.run_sync(_try_to_write, folder)
    except OSError as error:
        return failed(f"Cannot write to {folder} ({error.strerror}): fix its permissions or its disk, or set DATA_DIR.")
    if not system.is_in_memory(folder):
        return free_space(folder, free >> 20, settings)
    # A tmpfs without a size reports half of the machine's memory, but its files count as memory of the container.
    left = system.memory() - (settings.render_memory_mb + settings.memory_cache_mb << 20)
    return free_space(folder, max(0, min(free, left)) >> 20, settings, where=" of memory")


def privacy(folder: Path) -> CheckResult:
    """Checks that other accounts of this machine cannot enter `folder` or what is in it.

    Darkroom creates everything for its own account only; earlier versions and other programs may not have. If the
    folder belongs to another account, as a volume's may, only what is in it is checked.
    """
    if not folder.exists():
        return skipped(f"{folder} does not exist yet; Darkroom creates it for its own account only.")
    folder = folder.resolve()  # `chmod -R` does not follow a symbolic link
    if not folder.stat().st_mode & 0o007:
        return ok(f"no other account can enter {folder}")
    if exposed := [path for path in (folder, *sorted(folder.iterdir())) if _is_exposed(path)]:
        return warning(
            f"Every account of this machine can access {', '.join(map(str, exposed[:5]))}: "
            f"run `chmod -R o= {quote(str(folder))}`."
        )
    return ok(f"no other account can enter what is in {folder}")


def free_space(folder: Path, free_mb: int, settings: Settings, *, where: str = "") -> CheckResult:
    """Checks that the folder has room for concurrent uploads and copies of originals."""
    least, ample = (
        2 * settings.max_upload_mb,
        (settings.render_processes + settings.max_waiting) * settings.max_upload_mb,
    )
    if free_mb < least:
        return failed(
            f"{folder} has {free_mb} MiB{where} left, too little for two uploads: free space, or set DATA_DIR."
        )
    if free_mb < ample:
        return warning(
            f"{folder} has {free_mb} MiB{where} left; peak load may need {ample}: free space, or set DATA_DIR."
        )
    return ok(f"{folder}, {free_mb} MiB{where} free")


def file_descriptors(limit: int | None) -> CheckResult:
    """Checks that a process may open enough files and connections. `limit`: how many, None if unlimited."""
    if limit is None:
        return ok("unlimited")
    if limit < _TOO_FEW_FILES:
        return failed(f"A process may open {limit} files and connections: raise `ulimit -n` to {_FEW_FILES} or more.")
    if limit < _FEW_FILES:
        return warning(f"A process may open {limit} files and connections, one per client: raise `ulimit -n`.")
    return ok(f"{limit} per process")


def codecs(versions: Mapping[str, str]) -> CheckResult:
    """Checks that Pillow has every codec. `versions`: of its libraries, empty for a missing one."""
    if lacking := [what for library, what in _LIBRARIES.items() if not versions.get(library)]:
        return failed(f"This Pillow lacks {', '.join(lacking)}: install its wheel, which includes them.")
    return ok(f"Pillow {versions['pil']}, with {', '.join(_LIBRARIES.values())}")


async def render_processes(settings: Settings) -> CheckResult:
    """Starts a render process, and checks that the kernel restricts it and that it can decode the watermarks."""
    try:
        return judge_sandbox(settings, await try_render_process(settings))
    except (ServiceError, SettingsError) as error:
        return failed(str(error))


def judge_sandbox(settings: Settings, locks: Collection[str]) -> CheckResult:
    """Judges the sandbox of render processes. `locks`: the mechanisms in force in one that was just started."""
    if "seccomp" in locks:
        return ok("locked by " + " and ".join(sorted(locks, reverse=True)))
    if settings.render_sandbox == "off":
        return warning("RENDER_SANDBOX=off: a hostile image may take over the account. Set it to auto or required.")
    return warning(
        "This system cannot lock render processes, so a hostile image may take over the account: use Linux on x86-64 "
        "or aarch64 with seccomp."
    )


def libvips(settings: Settings, version: str) -> CheckResult:
    """Checks that libvips is installed if a size needs it. `version`: empty if it is not installed."""
    if mistake := lack_of_extras(settings.size_tables).get("vips"):
        return failed(f"sizes: {mistake}")
    if version:
        return ok(f"libvips {version} decodes PNG and WebP")
    return ok("optional, not installed: large PNG and WebP take more time and memory (install darkroom-origin[vips])")


def numpy(settings: Settings) -> CheckResult:
    """Checks that numpy is installed if a size needs it."""
    if mistake := lack_of_extras(settings.size_tables).get("auto-quality"):
        return failed(f"sizes: {mistake}")
    if not system.has_numpy():
        return ok("not installed; no size needs it")
    return ok(f'numpy {metadata.version("numpy")} measures the qualities of sizes with quality = "auto"')


def _is_exposed(path: Path) -> bool:
    status = path.lstat()
    is_link = stat.S_ISLNK(status.st_mode)  # its own mode says nothing
    return status.st_uid == os.geteuid() and bool(status.st_mode & 0o007) and not is_link


def _try_to_write(folder: Path) -> int:
    """Writes and removes a file. Returns the free bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"doctor-{uuid4().hex}"
    path.write_bytes(b"trial")
    path.unlink()
    return shutil.disk_usage(folder).free
