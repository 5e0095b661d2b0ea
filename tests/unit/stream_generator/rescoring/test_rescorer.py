"""Recorded predictions, scored again with another version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prediction_world import MODEL, THRESHOLD, made_case, made_class, made_record, made_score, servable_parts

from event_backbone.case.records import Record
from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import ModelRef, Prediction, encode_json
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BundleStore, registered_name, write_bundle
from event_backbone.model.scoring import Scorer
from event_backbone.ports import RegisteredBundle
from stream_generator.recording.port import Answered, Recorded
from stream_generator.rescoring.comparing import report_lines
from stream_generator.rescoring.difference import MISSING, OTHER, DifferenceReport, SegmentDifference
from stream_generator.rescoring.rescorer import Rescorer, open_version

CASE = made_case()
NUMBERS = made_case(task="regression", target={"name": "flowers", "title": "Flowers"})


def _registry(folder: Path, case: Case = CASE, *thresholds: float) -> MemoryRegistry:
    """A version for each threshold."""
    registry = MemoryRegistry()
    for number, threshold in enumerate(thresholds or (THRESHOLD,)):
        parts = servable_parts(case) | {
            "decision.json": encode_json({"threshold": threshold} if case.is_binary else {})
        }
        sha256 = write_bundle(folder / f"made-{number}", case, parts)
        registry.register(folder / f"made-{number}", sha256, name=registered_name(case), alias="champion", run_id="r")
    return registry


def _recorded(number: int, *, model: ModelRef = MODEL, off: float = 0.0, **changes: Any) -> Iterator[Recorded]:
    for index in range(number):
        record = made_record(index, **changes)
        score = made_score(record) + off
        answered = Answered(made_class(score), score, model, "garden")
        yield Recorded(str(index), record, None, f"r{index}", answered=answered)


def _report(folder: Path, version: str, registry: MemoryRegistry, *streams: Iterator[Recorded]) -> DifferenceReport:
    model = open_version(version, CASE, BundleStore(folder / "bundles"), registry)
    rescorer = Rescorer(model, None)
    for stream in streams:
        list(rescorer.rescore(stream))
    return rescorer.differences.report("here", model.scorer.model, model.scorer.bundle_sha256, rescorer.kept)


def test_the_version_that_answered_then_says_the_same_again(tmp_path: Path) -> None:
    report = _report(tmp_path, "1", _registry(tmp_path), _recorded(600))
    assert report.overall.flips is not None
    assert (report.overall.records, report.overall.flips.count, report.overall.flips.share) == (600, 0, 0.0)
    assert report.overall.shift.max is not None
    assert report.overall.shift.max < 1e-6
    assert report.overall.relative is None


def test_another_threshold_flips_decisions_in_one_direction_and_moves_no_score(tmp_path: Path) -> None:
    report = _report(tmp_path, "2", _registry(tmp_path, CASE, THRESHOLD, 0.205), _recorded(600))
    flipped = sum(0.205 <= made_score(made_record(index)) < THRESHOLD for index in range(600))
    assert report.overall.flips is not None
    assert report.overall.flips.directions == {"no → yes": flipped}
    assert report.overall.flips.share == flipped / 600
    assert report.model == ModelRef("streamgauge-garden", "2")


def test_shifts_have_mean_size_and_quantiles(tmp_path: Path) -> None:
    first, second = _recorded(300, off=0.1), _recorded(100, off=-0.3)
    shift = _report(tmp_path, "1", _registry(tmp_path), first, second).overall.shift
    assert shift.mean == pytest.approx((300 * -0.1 + 100 * 0.3) / 400, abs=1e-6)
    assert shift.mean_absolute == pytest.approx((300 * 0.1 + 100 * 0.3) / 400, abs=1e-6)
    assert shift.max == pytest.approx(0.3, abs=1e-6)
    assert shift.quantiles == {
        "p50": pytest.approx(0.1, rel=0.01),
        "p90": pytest.approx(0.3, rel=0.01),
        "p99": pytest.approx(0.3, rel=0.01),
    }


def test_versions_and_segments_are_told_apart(tmp_path: Path) -> None:
    old, new = ModelRef(MODEL.name, "3"), ModelRef(MODEL.name, "4")
    streams = [
        _recorded(50, model=old, soil="clay", neighbour=None),
        _recorded(30, model=new, off=0.2, soil="moon", neighbour="rose"),
    ]
    report = _report(tmp_path, "1", _registry(tmp_path), *streams)
    assert [(one.model.version, one.difference.records) for one in report.by_version] == [("3", 50), ("4", 30)]
    assert {(one.column, one.value): one.difference.records for one in report.by_segment} == {
        ("soil", "clay"): 50,
        ("soil", OTHER): 30,
        ("neighbour", MISSING): 50,
        ("neighbour", "rose"): 30,
    }
    moved = next(one for one in report.by_segment if one.value == OTHER)
    assert isinstance(moved, SegmentDifference)
    assert moved.difference.shift.mean == pytest.approx(-0.2, abs=1e-6)
    text = "\n".join(report_lines(report))
    assert "version    streamgauge-garden 4: 30 records" in text
    assert text.index("neighbour rose") < text.index("soil clay")


def test_records_the_version_refuses_are_counted_by_reason(tmp_path: Path) -> None:
    report = _report(tmp_path, "1", _registry(tmp_path), _recorded(10), _recorded(5, leaves=-1))
    assert (report.overall.records, report.not_scored) == (10, {"leaves: range": 5})


def test_records_that_the_version_gives_no_number_for_are_counted_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, score = _registry(tmp_path), Scorer.score

    def unsure_of_the_first(scorer: Scorer, records: Sequence[Record]) -> list[float]:
        return [math.inf, *score(scorer, records[1:])]

    def recorded() -> Iterator[Recorded]:
        monkeypatch.setattr(Scorer, "score", unsure_of_the_first)  # the version is open by now
        yield from _recorded(10)

    report = _report(tmp_path, "1", registry, recorded())
    assert (report.overall.records, report.not_scored) == (9, {"(body): not_finite": 1})


def test_a_regression_has_no_flips_but_relative_differences(tmp_path: Path) -> None:
    registry = _registry(tmp_path, NUMBERS)
    model = open_version("1", NUMBERS, BundleStore(tmp_path / "bundles"), registry)
    rescorer = Rescorer(model, None)
    recorded = [
        Recorded("0", record := made_record(index), answered=Answered(0.0, made_score(record) / 2, MODEL))
        for index in range(20)
    ]
    list(rescorer.rescore(recorded))
    overall = rescorer.differences.report("here", MODEL, "", None).overall
    assert overall.flips is None
    assert overall.relative is not None
    assert overall.relative.mean == pytest.approx(1.0, rel=1e-5)


def test_what_is_said_is_kept_under_the_new_version_with_its_record(tmp_path: Path) -> None:
    kept: list[Prediction] = []

    def keep(predictions: Any) -> int:
        kept.extend(predictions)
        return len(predictions)

    model = open_version("1", CASE, BundleStore(tmp_path / "bundles"), _registry(tmp_path))
    rescorer = Rescorer(model, keep)
    list(rescorer.rescore(_recorded(300)))
    assert (rescorer.kept, len(kept)) == (300, 300)
    assert (kept[4].record_id, kept[4].model.version, kept[4].record) == ("r4", "1", made_record(4))


def test_the_version_in_use_needs_no_registry(tmp_path: Path) -> None:
    registry, bundles = _registry(tmp_path), BundleStore(tmp_path / "bundles")
    registered = registry.resolve("streamgauge-garden", "champion")
    assert isinstance(registered, RegisteredBundle)
    bundles.install(registered, registry)
    bundles.repoint(registered)
    registry.away = True
    assert open_version("1", CASE, bundles, registry).scorer.bundle_sha256 == registered.bundle_sha256
    with pytest.raises(TryAgainLaterError):
        open_version("2", CASE, bundles, registry)


def test_a_version_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no version '9'"):
        open_version("9", CASE, BundleStore(tmp_path / "bundles"), _registry(tmp_path))


@pytest.mark.parametrize(
    ("answered", "said"), [(None, "holds no scores"), (Answered("yes", 0.5, MODEL, "census"), "is of the case census")]
)
def test_a_recording_that_can_not_be_compared_is_told(answered: Answered | None, said: str, tmp_path: Path) -> None:
    rescorer = Rescorer(open_version("1", CASE, BundleStore(tmp_path / "bundles"), _registry(tmp_path)), None)
    with pytest.raises(SettingsError, match=said):
        list(rescorer.rescore([Recorded("0", made_record(0), answered=answered)]))


def test_the_report_can_be_written(tmp_path: Path) -> None:
    report = _report(tmp_path, "1", _registry(tmp_path), _recorded(10))
    assert msgspec.json.decode(msgspec.json.encode(report))["overall"]["records"] == 10
