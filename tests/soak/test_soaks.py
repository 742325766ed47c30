"""Every soak for minutes; each is also a command that runs for any time.

`.ci/run` runs seconds of them: crashes in tests/faults, load in tests/load, workers in tests/integration/cluster, life
here; tests/integration/test_recovery.py has the drills on files and SQLite.
"""

from pathlib import Path

import pytest

from tests.cluster import TINY
from tests.service import Service
from tests.soak import crashes, drills, life, load, warm_all, workers


@pytest.mark.long
class TestForMinutes:
    def test_crashes(self) -> None:
        crashes.main(seconds=60, seed=1)

    @pytest.mark.promise("E12")
    def test_drills(self) -> None:
        drills.main(seconds=1, seed=1)

    def test_life(self) -> None:
        life.main(minutes=2)

    def test_load(self) -> None:
        load.main(minutes=1, uploads=2000)

    def test_warm_all(self) -> None:
        warm_all.main(uploads=500)

    def test_workers(self) -> None:
        workers.main(uploads=100)


@pytest.mark.slow
@pytest.mark.serial
def test_life_for_seconds(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    with Service(tmp_path, **life.SETTINGS) as service:
        life.live(service, [service], seconds=3, rounds=3)
