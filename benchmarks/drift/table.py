"""The bench's answers as a page and a picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.drift.measuring import OURS, UNCORRECTED, Delays, FalseAlarms
from benchmarks.drift.rules import rivals
from monitoring_service.drift.detectors import SCORE

RULES = (OURS, *rivals(), UNCORRECTED)


def false_alarm_table(found: Sequence[FalseAlarms], rows: int) -> str:
    lines = ["| rule | episodes in each reference's stream | per 100,000 rows |", "| --- | --- | --- |"]
    for rule in RULES:
        counts = [one.episodes.get(rule, Counter()).total() for one in found]
        lines.append(f"| {rule} | {', '.join(map(str, counts))} | {sum(counts) * 100_000 / (rows * len(found)):.1f} |")
    return "\n".join(lines)


def delay_table(found: Iterable[Delays]) -> str:
    """A line a shift and form: divergence, then median / p90 and misses of every rule."""
    groups: defaultdict[tuple[str, str], list[Delays]] = defaultdict(list)
    for one in found:
        groups[one.shift.name, one.form].append(one)
    rules = (*RULES, SCORE)
    lines = [f"| shift | form | KL | {' | '.join(rules)} |", f"| --- | --- | --- |{' --- |' * len(rules)}"]
    for (name, form), group in groups.items():
        cells = " | ".join(summary(group, rule) for rule in rules)
        lines.append(f"| {name} | {form} | {mean_divergence(group):.3f} | {cells} |")
    return "\n".join(lines)


def mean_divergence(group: Sequence[Delays]) -> float:
    return float(np.mean([one.divergence for one in group]))


def median_delay(group: Sequence[Delays], rule: str = OURS) -> float:
    """A miss is later than everything."""
    return float(np.median([one.rows.get(rule, np.inf) for one in group]))


def misses(group: Sequence[Delays], rule: str = OURS) -> int:
    return sum(rule not in one.rows for one in group)


def summary(group: Sequence[Delays], rule: str) -> str:
    late = sorted(one.rows.get(rule, np.inf) for one in group)
    median, nearly_all = np.median(late), late[max(0, -(-9 * len(late) // 10) - 1)]
    missed = misses(group, rule)
    both = f"{rows_text(float(median))} / {rows_text(float(nearly_all))}"
    return f"{both}, {missed} missed" if missed else both


def rows_text(rows: float) -> str:
    return "late" if rows == np.inf else f"{rows:,.0f}"


def write_picture(path: Path, found: Sequence[Delays]) -> None:
    """Median delays of the sudden shifts by rule; a rule that misses most has no bar."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "drift"
    from matplotlib import pyplot

    sudden: defaultdict[str, list[Delays]] = defaultdict(list)
    for one in found:
        if one.form == "sudden":
            sudden[one.shift.name].append(one)
    metric_value, axes = pyplot.subplots(figsize=(9, 0.55 * len(sudden) + 1.2), layout="constrained")
    places = np.arange(len(sudden))
    for place, rule in enumerate(RULES):
        delays = [median_delay(group, rule) for group in sudden.values()]
        shown = [0.0 if delay == np.inf else delay for delay in delays]
        axes.barh(places + 0.15 * (place - 2), shown, 0.15, label=rule)
    axes.set_yticks(places, list(sudden))
    axes.invert_yaxis()
    axes.set_xlabel("median delay in rows (no bar: missed in most runs)")
    axes.legend(fontsize="small")
    metric_value.savefig(path, metadata={"Date": None})
    pyplot.close(metric_value)
