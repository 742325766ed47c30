"""Metrics by the contract's names, and logs that machines can read."""

import json
from collections.abc import Iterator

import pytest
import structlog

from proxy.telemetry import STAGES, Metrics, configure_logging
from tests.fakes import sample


@pytest.fixture
def logging_of_our_own() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_the_exposition_has_the_names_and_labels_of_the_contract() -> None:
    metrics = Metrics()
    metrics.derivations.labels("small", "jpg", "ok").inc()
    metrics.variant_requests.labels("hot").inc()
    metrics.jobs.labels("pending").set(3)
    metrics.observe_stages({"decode": 0.02})

    lines = metrics.exposition().decode().splitlines()

    assert 'darkroom_derivations_total{format="jpg",outcome="ok",size="small"} 1.0' in lines
    assert 'darkroom_variant_requests_total{tier="hot"} 1.0' in lines
    assert 'darkroom_jobs{status="pending"} 3.0' in lines
    assert 'darkroom_stage_seconds_count{stage="decode"} 1.0' in lines
    assert 'darkroom_stage_seconds_sum{stage="decode"} 0.02' in lines
    assert 'darkroom_stage_seconds_bucket{le="0.01",stage="decode"} 0.0' in lines
    assert 'darkroom_stage_seconds_bucket{le="0.03",stage="decode"} 1.0' in lines


def test_every_stage_can_be_observed() -> None:
    metrics = Metrics()

    metrics.observe_stages(dict.fromkeys(STAGES, 1.0))

    assert [sample(metrics, "darkroom_stage_seconds_count", stage=stage) for stage in STAGES] == [1.0] * 5


def test_two_apps_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()

    first.variant_requests.labels("hot").inc()

    assert sample(first, "darkroom_variant_requests_total", tier="hot") == 1
    assert sample(second, "darkroom_variant_requests_total", tier="hot") == 0


@pytest.mark.usefixtures("logging_of_our_own")
def test_json_logs_are_an_object_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")

    structlog.get_logger().info("something happened", upload="8f14")
    structlog.get_logger().debug("not worth a line")

    output = capsys.readouterr()
    [line] = output.err.splitlines()
    assert output.out == ""
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "something happened",
        "upload": "8f14",
        "level": "info",
        "timestamp": "",
    }


@pytest.mark.usefixtures("logging_of_our_own")
def test_logs_for_people_keep_to_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console", "error")

    structlog.get_logger().warning("not this")
    structlog.get_logger().error("but this")

    output = capsys.readouterr()
    assert output.out == ""
    assert "but this" in output.err
    assert "not this" not in output.err
