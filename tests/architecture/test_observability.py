"""Every metric is documented, and used by dashboard or rules, which name no others. Every alert is documented."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.telemetry import Metrics

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "observability.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
NOT_OURS = {"process_virtual_memory_bytes", "process_start_time_seconds"}
"""The library adds these; neither dashboard nor rules need them."""


def exposed() -> dict[str, tuple[str, set[str]]]:
    """Returns metrics by the names in the guide, with type and labels."""
    metrics = Metrics()
    metrics.describe_build({"version": "1", "pil": "2", "vips": "3"})
    found = {}
    for metric in metrics.registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        found[name] = (metric.type, set(_labels(metrics, metric.name)))
    return found


def _labels(metrics: Metrics, name: str) -> tuple[str, ...]:
    collector = metrics.registry._names_to_collectors.get(name)
    return getattr(collector, "_labelnames", ())


METRICS = exposed()


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `((?:darkroom|process)_\w+)` \|([^|]*)\|[^|]*\|$", GUIDE, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def series() -> Iterator[tuple[str, set[str]]]:
    """Yields the names that expressions may use, with the labels that may select them."""
    for name, (kind, labels) in METRICS.items():
        for suffix in SUFFIXES[kind]:
            extra = {"le"} if suffix == "_bucket" else set()
            yield name.removesuffix("_total") + suffix, labels | extra | {"job", "instance", "environment"}


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:darkroom|process)_\w+", expression))


def test_guide_lists_every_metric_with_its_labels() -> None:
    expected = {name: labels for name, (_, labels) in METRICS.items()}
    expected["darkroom_build_info"] = set()  # "versions"
    assert documented() == expected


def test_every_metric_is_shown_or_watched() -> None:
    used = {name for expression in EXPRESSIONS for name in names(expression)}
    unused = {
        name
        for name, (kind, _) in METRICS.items()
        if not used & {name.removesuffix("_total") + suffix for suffix in SUFFIXES[kind]}
    }
    assert unused == NOT_OURS


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_uses_existing_series_and_labels(expression: str) -> None:
    known = dict(series())
    assert names(expression) <= known.keys() or expression.startswith("up{")
    assert expression.count("(") == expression.count(")")
    for name, matchers in re.findall(r"\b((?:darkroom|process)_\w+)\{([^}]*\}?[^}]*\}?[^}]*)\}", expression):
        assert set(re.findall(r'(\w+)\s*[=!]~?"', matchers)) <= known[name]
    grouped = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")}
    assert grouped <= set().union(*(known[name] for name in names(expression))) if names(expression) else True


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_shows_the_chosen_environments(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        selectors = re.findall(r"\b(?:darkroom|process)_\w+(?:\{([^}]*)\})?", target["expr"])
        assert selectors
        assert all('environment=~"$environment"' in matchers for matchers in selectors), target["expr"]


def test_every_environment_is_chosen_where_none_is_labelled() -> None:
    [variable] = [one for one in DASHBOARD["templating"]["list"] if one["name"] == "environment"]
    assert (variable["includeAll"], variable["allValue"]) == (True, ".*")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_about_one_environment_and_has_its_name(rule: dict[str, Any]) -> None:
    for aggregation in re.findall(r"\b(?:sum|max|min|avg|count)\b[^(]*\(", rule["expr"]):
        assert "by" in aggregation, rule["expr"]
    for grouped in re.findall(r"by \(([^)]*)\)", rule["expr"]):
        assert "environment" in grouped.split(", ")
    assert rule["annotations"]["summary"].startswith("{{ with $labels.environment }}{{ . }}: {{ end }}")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_has_a_position_a_unit_and_the_data_source(panel: dict[str, Any]) -> None:
    assert {"x", "y", "w", "h"} == panel["gridPos"].keys()
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_complete(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_guide_lists_every_alert() -> None:
    assert re.findall(r"^\| `(Darkroom\w+)` \|", GUIDE, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_listed_label_values_are_those_of_the_code() -> None:
    """An alert on an outcome that is never counted could never fire."""
    code = "\n".join(path.read_text() for folder in ("proxy", "ingest") for path in (ROOT / folder).rglob("*.py"))
    for expression in EXPRESSIONS:
        for label, values in re.findall(r'(outcome|reason)=~?"([^"]+)"', expression):
            for value in values.split("|"):
                assert f'"{value}"' in code, (label, value)
