"""The report on a run's data as one HTML page, without network and other files."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from training.weekly.analysis import Changes, ColumnData, DataProfile, missing_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS_A_ROW = 3
_BINS = 30
_MOST_CATEGORIES = 12
_NOW, _BEFORE = "#2a6f97", "#d08c60"
#: Decimals say nothing about larger numbers.
_LARGE = 1000.0


def render_page(case: Case, now: DataProfile, before: DataProfile | None, changes: Changes | None) -> str:
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    picture = base64.b64encode(draw_distributions(case, now, before)).decode()
    columns = {name: describe(column) for name, column in now.columns.items()}
    return templates.get_template("analysis.html").render(
        case=case, now=now, columns=columns, target=describe(now.labels), changes=changes, picture=picture
    )


def describe(column: ColumnData) -> dict[str, Any]:
    """Summary of a column: its kind, text and share of missing values."""
    missing = {"missing": missing_share(column)}
    if isinstance(column, NumberProfile):
        if not column.sorted_values:
            return {**missing, "kind": "numbers", "text": "no value"}
        numbers = (*np.quantile(column.sorted_values, [0, 0.5, 1]), np.mean(column.sorted_values))
        low, median, high, mean = map(_written, numbers)
        return {
            **missing,
            "kind": "numbers",
            "text": f"{low} to {high}, median {median}, mean {mean}",
        }
    shares = {name: count / max(1, sum(column.counts.values())) for name, count in _largest(column).items()}
    text = ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:3])
    return {**missing, "kind": f"{len(column.counts)} categories", "text": text or "no value"}


def _written(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= _LARGE else f"{number:.4g}"


def _largest(column: CategoryProfile) -> dict[str, int]:
    return dict(sorted(column.counts.items(), key=lambda item: -item[1]))


def draw_distributions(case: Case, now: DataProfile, before: DataProfile | None) -> bytes:
    """A panel for the target and one for each column, as a PNG; the last run's in outline."""
    from matplotlib.figure import Figure

    panels = {case.target.name: (now.labels, before.labels if before else None)}
    for name, column in now.columns.items():
        panels[name] = (column, before.columns.get(name) if before else None)
    lines = -(-len(panels) // _PANELS_A_ROW)
    # A figure without pyplot: no window system, no global state.
    figure = Figure(figsize=(12, 2.4 * lines), dpi=80, layout="constrained")
    all_axes = figure.subplots(lines, _PANELS_A_ROW, squeeze=False).ravel()
    for axes, (name, (column, earlier)) in zip(all_axes, panels.items(), strict=False):
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        _draw(axes, column, earlier)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _draw(axes: Axes, column: ColumnData, earlier: ColumnData | None) -> None:
    if isinstance(column, NumberProfile):
        _draw_numbers(axes, column, earlier if isinstance(earlier, NumberProfile) else None)
    else:
        _draw_categories(axes, column, earlier if isinstance(earlier, CategoryProfile) else None)


def _draw_numbers(axes: Axes, column: NumberProfile, earlier: NumberProfile | None) -> None:
    if not column.sorted_values:
        return
    edges = np.histogram_bin_edges([*column.sorted_values, *(earlier.sorted_values if earlier else [])], _BINS).tolist()
    axes.hist(column.sorted_values, edges, density=True, color=_NOW)
    if earlier and earlier.sorted_values:
        axes.hist(earlier.sorted_values, edges, density=True, histtype="step", color=_BEFORE)


def _draw_categories(axes: Axes, column: CategoryProfile, earlier: CategoryProfile | None) -> None:
    names = list(_largest(column))[:_MOST_CATEGORIES]
    places = np.arange(len(names))
    axes.barh(places, _shares(column, names), color=_NOW)
    if earlier:
        axes.barh(places, _shares(earlier, names), fill=False, edgecolor=_BEFORE)
    # A category may be called anything, and $ begins a formula.
    axes.set_yticks(places, [name[:24].replace("$", r"\$") for name in names])
    axes.invert_yaxis()


def _shares(column: CategoryProfile, names: list[str]) -> list[float]:
    return [column.counts.get(name, 0) / max(1, sum(column.counts.values())) for name in names]
