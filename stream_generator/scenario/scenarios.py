"""Scenarios: which drift begins when. They are declared beside the case, in ``cases/<case>.scenarios.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from event_backbone.case.files import faults_in_file, read_yaml
from event_backbone.case.schema import LARGEST_COUNT, Case, Identifier, Sentence
from event_backbone.errors import Fault, SettingsError
from stream_generator.scenario.changes import Change, ColumnChange, Part, faults_in_change


@dataclass(frozen=True, slots=True)
class Timing:
    """When a scenario acts, in records since the start of the stream; ``end`` is the first that it spares again."""

    start: int
    ramp: int = 0
    end: int | None = None

    def strength(self, index: int) -> float:
        """0 before the start, growing evenly over the ramp, then 1 until the end."""
        if index < self.start or (self.end is not None and index >= self.end):
            return 0.0
        return min(1.0, (index - self.start + 1) / (self.ramp + 1))


class _Span(Part):
    @model_validator(mode="after")
    def _in_order(self) -> Self:
        start, ramp, end = (getattr(self, name) for name in ("start", "ramp", "end"))
        if end is not None and not start + ramp < end:
            raise ValueError("the end must come after start and ramp")
        return self


class SpanOfCount(_Span):
    """For a stream with a count: shares of it."""

    start: float = Field(ge=0, lt=1)
    ramp: float = Field(default=0.0, ge=0, lt=1)
    end: float | None = Field(default=None, gt=0, le=1)

    def timing(self, count: int) -> Timing:
        end = None if self.end is None else round(self.end * count)
        return Timing(round(self.start * count), round(self.ramp * count), end)


class SpanOfRecords(_Span):
    """For a stream without end: numbers of records."""

    start: int = Field(ge=0, le=LARGEST_COUNT)
    ramp: int = Field(default=0, ge=0, le=LARGEST_COUNT)
    end: int | None = Field(default=None, gt=0, le=LARGEST_COUNT)


class Scenario(Part):
    """One drift, or several that begin together."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    title: Sentence
    description: Sentence
    of_count: SpanOfCount
    of_endless: SpanOfRecords
    changes: list[Change]

    @property
    def columns(self) -> list[Identifier]:
        """The columns whose distribution it moves, each once, in the order of the changes."""
        return list(dict.fromkeys(change.column for change in self.changes if isinstance(change, ColumnChange)))

    def timing(self, count: int | None) -> Timing:
        """For a stream of ``count`` records, or for one without end."""
        if count is not None:
            return self.of_count.timing(count)
        return Timing(self.of_endless.start, self.of_endless.ramp, self.of_endless.end)


class _ScenarioFile(Part):
    scenarios: list[Scenario]


#: Every case has this one.
NO_DRIFT = Scenario(
    name="none",
    title="No drift",
    description="The stream as it is.",
    of_count=SpanOfCount(start=0.0),
    of_endless=SpanOfRecords(start=0),
    changes=[],
)


def _faults_against(case: Case, scenarios: list[Scenario]) -> list[Fault]:
    faults, seen = [], {NO_DRIFT.name}
    for index, scenario in enumerate(scenarios):
        if scenario.name in seen:
            faults.append(Fault(f"scenarios[{index}].name", "duplicate", f"{scenario.name!r} is taken"))
        seen.add(scenario.name)
        for number, change in enumerate(scenario.changes):
            faults += faults_in_change(change, case, f"scenarios[{index}].changes[{number}]")
    return faults


def scenarios_from_dict(content: Any, case: Case, *, subject: str) -> Mapping[str, Scenario]:
    """Scenarios by name; raise :class:`SettingsError` with every fault and its place."""
    try:
        scenarios = _ScenarioFile.model_validate(content).scenarios
    except ValidationError as error:
        raise SettingsError(subject, faults_in_file(error)) from None
    faults = _faults_against(case, scenarios)
    if faults:
        raise SettingsError(subject, faults)
    return {scenario.name: scenario for scenario in [NO_DRIFT, *scenarios]}


def load_scenarios(case: Case, cases_dir: Path) -> Mapping[str, Scenario]:
    """The scenarios of a case; a case without a file of them has only ``none``."""
    path = cases_dir / f"{case.name}.scenarios.yaml"
    if not path.is_file():
        return {NO_DRIFT.name: NO_DRIFT}
    return scenarios_from_dict(read_yaml(path), case, subject=str(path))


def find_scenario(name: str, case: Case, cases_dir: Path) -> Scenario:
    """One scenario; an unknown name is answered with the names there are."""
    scenarios = load_scenarios(case, cases_dir)
    if name not in scenarios:
        message = f"{case.name} has no such scenario; there are: {', '.join(scenarios)}"
        raise SettingsError(f"scenario {name!r}", [Fault("--scenario", "unknown", message)])
    return scenarios[name]
