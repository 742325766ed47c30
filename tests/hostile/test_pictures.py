"""Hostile files through a real server: each is accepted or refused by its content, and refused ones leave nothing."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.client import until
from tests.conftest import missing, reads
from tests.hostile import containers, polyglots
from tests.hostile.corpus import Case, corpus
from tests.hostile.pillow_source import pillow_tests
from tests.hostile.uploading import SIDES, Report, figures, left_behind, send_all
from tests.service import Service
from tests.watch import Watch

pytestmark = [pytest.mark.slow, pytest.mark.serial, reads("/proc/self/statm")]

BUDGET_MB = 1024
SERVER_MB = 300
RENDER_TIMEOUT = 15
DEADLINE = RENDER_TIMEOUT + 5  # seconds for a response, including the upload, on a busy machine
CONTAINERS = containers.GROUPS.keys() | {"claimed size"}
OTHERS = polyglots.GROUPS.keys() | {"named", "another format renamed"}
HEALTH_SECONDS = 2  # an idle machine needs a hundredth of it
ANIMATED = "".join(
    f"[sizes.{name}]\nwidth = {side}\nheight = {side}\nanimated = true\n" for name, side in SIDES.items()
)


@pytest.fixture(scope="module")
def pillow_folder() -> Path:
    try:
        return pillow_tests()
    except subprocess.SubprocessError as error:
        missing(f"Pillow's source distribution cannot be fetched: {error}")


async def behaves(folder: Path, cases: Iterable[Case]) -> Report:
    settings = {
        "WARM_UP": "false",
        "RENDER_MEMORY_MB": str(BUDGET_MB),
        "RENDER_PROCESSES": "2",
        "RENDER_TIMEOUT": str(RENDER_TIMEOUT),
    }
    with Service(folder, **settings) as service:
        watch = Watch(service.pid, interval=0.05)
        with watch.running():
            report = await send_all(service, cases)
        print(figures(report, watch.most_itself / 2**20, watch.most / 2**20))

        assert report.wrong == [], "\n".join(report.wrong)
        assert report.slowest[0] < DEADLINE, report.slowest
        assert watch.samples > 5  # the watch was running; the smallest sample takes a fast machine a second
        assert watch.most_itself < SERVER_MB << 20
        assert watch.most <= BUDGET_MB << 20
        assert max(report.health) < HEALTH_SECONDS
        # A process that was replaced after its last request gives its memory back when the next one is ready.
        until(lambda: service.metric("darkroom_render_reserved_bytes") == 0)
        assert "Traceback" not in service.log()
        service.stop()
    assert left_behind(folder, report.accepted) == []
    return report


async def test_sample_of_generated_files_is_judged_correctly(tmp_path: Path) -> None:
    report = await behaves(tmp_path, sampled(corpus(), 40))

    assert report.kinds.keys() == CONTAINERS | {"truncated", "bits flipped", "invented", *OTHERS}
    assert report.outcomes["accepted"] > 10
    assert report.outcomes["undecodable"] > 25


async def test_files_of_odd_structure_are_judged_correctly(tmp_path: Path) -> None:
    report = await behaves(tmp_path, (case for case in corpus() if case.kind in CONTAINERS))

    assert report.kinds.keys() == CONTAINERS
    assert report.outcomes["accepted"] > 40


@pytest.mark.promise("A1", "A2", "A4", "A5", "A11", "B8")
@pytest.mark.long
async def test_all_generated_files_are_judged_correctly(tmp_path: Path) -> None:
    """With animated sizes, which read every frame."""
    (tmp_path / "darkroom.toml").write_text(ANIMATED)
    report = await behaves(tmp_path, corpus())

    assert sum(report.outcomes.values()) > 1500
    assert report.outcomes["accepted"] > 300
    assert report.outcomes["undecodable"] > 500


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    ("every", "accepted", "unsupported"),
    [(20, 10, 25), pytest.param(1, 300, 500, marks=pytest.mark.long)],
)
async def test_files_of_pillows_test_suite_are_judged_correctly(
    tmp_path: Path, pillow_folder: Path, every: int, accepted: int, unsupported: int
) -> None:
    report = await behaves(tmp_path, real(pillow_folder, every))

    assert sum(report.outcomes.values()) > 1000 / every
    assert report.outcomes["accepted"] > accepted
    assert report.outcomes["unsupported_format"] > unsupported


def sampled(cases: Iterable[Case], every: int) -> Iterator[Case]:
    """Yields one in `every` of each kind, including the first."""
    seen: Counter[str] = Counter()
    for case in cases:
        if seen[case.kind] % every == 0:
            yield case
        seen[case.kind] += 1


def real(folder: Path, every: int) -> Iterator[Case]:
    """Yields one in `every` of the folder's files."""
    command = [sys.executable, "-m", "tests.hostile.judge", str(folder), str(every)]
    judged = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    for name, outcomes in judged.items():
        yield Case("Pillow's", name, (folder / name).read_bytes(), frozenset(outcomes), Path(name).name)
