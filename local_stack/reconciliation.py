"""Reconciliation of a run: is every record accounted for, and every drift verdict? A pure function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from local_stack.documents import Counted, EpisodeDocument, GeneratorSummary, InjectedScenario, ReplicaStatusDocument

Fault = Literal["lost", "doubled", "unexplained"]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison; ``fault`` is ``None`` when it holds."""

    what: str
    expected: str
    found: str
    fault: Fault | None


def _count(what: str, expected: int, found: int) -> Check:
    fault: Fault | None = "lost" if found < expected else "doubled" if found > expected else None
    return Check(what, str(expected), str(found), fault)


def _none(what: str, found: int, fault: Fault, detail: str | None = None) -> Check:
    shown = f"{found} ({detail})" if found and detail else str(found)
    return Check(what, "0", shown, fault if found else None)


def _records(asked: int, sent: GeneratorSummary, kept: ReplicaStatusDocument, counted: Counted) -> Iterator[Check]:
    reasons = ", ".join(f"{number} with {reason}" for reason, number in sent.faults.items())
    yield _count("records answered", asked, sent.answered)
    yield _none("records failed", sent.failed, "lost", reasons)
    yield _count("predictions in the journal", sent.answered, kept.journal.predictions)
    yield _count("predictions counted by monitoring", sent.answered, counted.totals.predictions)


def _labels(sent: GeneratorSummary, kept: ReplicaStatusDocument, counted: Counted) -> Iterator[Check]:
    yield _count("labels accepted", sent.answered, sent.labels_sent)
    yield _none("labels failed", sent.labels_failed, "lost")
    yield _count("labels in the journal", sent.labels_sent, kept.journal.labels)
    yield _count("labels counted by monitoring", sent.labels_sent, counted.totals.labels)
    yield _none("labels without a prediction", counted.totals.unmatched_labels, "unexplained")


def _strays(kept: ReplicaStatusDocument, counted: Counted) -> Iterator[Check]:
    yield _none("rejections in the journal", kept.journal.rejections, "unexplained")
    yield _none("rejected records counted", counted.totals.rejected_records, "unexplained")
    for name, sink in sorted(kept.sinks.items()):
        yield _none(f"rows not delivered to {name}", sink.lag, "lost", sink.fault)
        yield _none(f"rows refused by {name}", sink.parked, "lost")


def _named(columns: set[str]) -> str:
    return ", ".join(sorted(columns)) or "none"


def _verdicts(scenario: InjectedScenario, episodes: list[EpisodeDocument], enough_records: bool) -> Iterator[Check]:
    injected, drifted = set(scenario.columns), {episode.column for episode in episodes}
    wrong = drifted - injected if not enough_records else drifted ^ injected
    expected = _named(injected) if enough_records else f"at most {_named(injected)} (few records)"
    yield Check("columns with a drift verdict", expected, _named(drifted), "unexplained" if wrong else None)
    for episode in episodes:
        if episode.column in injected:
            yield _after_start(episode, scenario.start_index)


def _after_start(episode: EpisodeDocument, start_index: int) -> Check:
    fault: Fault | None = None if episode.confirmed_at_row > start_index else "unexplained"
    return Check(f"verdict on {episode.column}", f"after row {start_index}", f"row {episode.confirmed_at_row}", fault)


def reconcile(
    asked: int, sent: GeneratorSummary, kept: ReplicaStatusDocument, counted: Counted, *, enough_records: bool
) -> list[Check]:
    """Compare what was sent, kept and counted in a run of ``asked`` records on fresh state.

    With ``enough_records`` false, so few followed the scenario's start that a column without a verdict is no fault; a
    verdict on a column that the scenario leaves alone always is one.
    """
    return [
        *_records(asked, sent, kept, counted),
        *_labels(sent, kept, counted),
        *_strays(kept, counted),
        *_verdicts(sent.scenario, counted.episodes, enough_records),
    ]
