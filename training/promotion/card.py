"""The model card of a version, in Markdown: what it is, what it was compared with, and the decision.

The sections are those of Mitchell et al., Model Cards for Model Reporting (2019), as far as they can be known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from event_backbone.case.schema import Case
from event_backbone.formats import markdown
from event_backbone.ports import RegisteredBundle
from training.fitting.challenger import Challenger
from training.promotion.gate import GateDecision, SegmentGrowth

CARD_FILE = "model_card.md"


def model_card(challenger: Challenger, decision: GateDecision, champion: RegisteredBundle | None) -> bytes:
    """The card of one version; ``champion`` is the one that it was compared with."""
    return "\n".join(_lines(challenger, decision, champion)).encode() + b"\n"


def _lines(challenger: Challenger, decision: GateDecision, champion: RegisteredBundle | None) -> Iterator[str]:
    case, against = challenger.case, "no champion" if champion is None else f"version {champion.model.version}"
    yield f"# {markdown.inline(case.title)}"
    yield f"\n{markdown.paragraph(case.description)}\n"
    yield f"**{decision.state.capitalize()}**, compared with {against}:\n"
    yield from (f"- {markdown.paragraph(reason)}" for reason in decision.reasons)
    yield "\n## Model\n"
    yield from _table(("", ""), _about_model(challenger))
    yield "\n## Data\n"
    yield from _table(("", ""), _about_data(challenger))
    yield "\n## Test rows\n"
    yield from _table(("measure", "value"), _numbers(challenger.evaluated.test_metrics))
    yield "\n## Gate\n"
    yield from _table(("limit", "value"), _limits(case))
    yield ""
    yield from _table(("measure", "challenger", "champion"), _compared(decision.numbers))
    yield ""
    yield from _table(("difference", "value"), _numbers(_others(decision.numbers)))
    if decision.segments:
        yield "\n## Segments\n"
        yield from _table(("segment", "rows", "growth of the mean error", "p"), _of_segments(decision.segments))


def _about_model(challenger: Challenger) -> Iterator[tuple[str, ...]]:
    model, plan = challenger.evaluated.model, challenger.plan
    yield "chosen", model.chosen.candidate.name
    yield "family", model.chosen.candidate.family
    yield "compared", f"{len(model.compared)} candidates, by cross-validation"
    if model.threshold is not None:
        yield "threshold", f"{model.threshold:.4f}"
    yield "seed", str(plan.seed)
    yield "fingerprint", challenger.fingerprint


def _about_data(challenger: Challenger) -> Iterator[tuple[str, ...]]:
    data, case = challenger.data, challenger.case
    yield "source", f"{data.source.kind}{' (SYNTHETIC)' if data.source.is_synthetic else ''}"
    yield "citation", case.data.citation
    yield "case file", case.sha256
    yield from ((f"{name} rows", f"{size:,}") for name, size in data.sizes().items())
    yield from ((f"sha256 of {name}", digest) for name, digest in data.source.digests.items())


def _limits(case: Case) -> Iterator[tuple[str, ...]]:
    limits = case.training.promotion
    yield "margin", f"{limits.margin:g}"
    yield "confidence", f"{limits.confidence:.0%}"
    yield "growth of the calibration error", f"{limits.calibration:g}"
    yield "growth of a segment's mean error", f"{limits.segment:g}"


def _compared(numbers: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    for name in numbers:
        measure = name.removeprefix("challenger_")
        if measure != name:
            theirs = numbers.get(f"champion_{measure}")
            yield measure, _text(numbers[name]), "" if theirs is None else _text(theirs)


def _others(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if not name.startswith(("challenger_", "champion_"))}


def _of_segments(segments: Sequence[SegmentGrowth]) -> Iterator[tuple[str, ...]]:
    return ((f"{one.column}: {one.value}", f"{one.rows:,}", f"{one.growth:+.4f}", f"{one.p:.3g}") for one in segments)


def _numbers(numbers: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    return ((name, _text(value)) for name, value in numbers.items())


def _text(value: float) -> str:
    return f"{value:,.5g}"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; a category may hold any character."""
    return "| " + " | ".join(markdown.inline(cell) for cell in cells) + " |"
