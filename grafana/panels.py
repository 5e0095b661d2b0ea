"""Kinds of panels, each with title, description, unit, data source and a stable id."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.queries import Query

#: As in grafana/provisioning/datasources.
DATA_SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")

#: Units by Grafana's names.
SHARE, SECONDS, BYTES, NUMBER, ROWS = "percentunit", "s", "bytes", "short", "suffix: rows"
PER_SECOND, RECORDS_PER_SECOND, REQUESTS_PER_SECOND = "cps", "suffix: records/s", "reqps"

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"
#: For what is 1 while something holds.
HOLDS = {0: ("no", GREEN), 1: ("holds", RED)}
#: What of a series says nothing about the case, for tables.
UNSAID = ("Time", "__name__", "case", "instance", "job")
#: A cell for each of so many parts of the chosen time.
CELLS = 60

AnyPanel = TypeVar(
    "AnyPanel",
    bargauge.Panel,
    heatmap.Panel,
    stat.Panel,
    statetimeline.Panel,
    statushistory.Panel,
    table.Panel,
    timeseries.Panel,
)
#: One that is described, ready for a dashboard.
Panel = Builder[models.Panel]


def panel_id(title: str) -> int:
    """The same for as long as the title is: links to a panel outlive panels that are put before it."""
    return zlib.crc32(title.encode()) % 1_000_000 + 1


def _described(panel: AnyPanel, title: str, text: str, unit: str, size: tuple[int, int]) -> AnyPanel:
    width, height = size
    panel.id(panel_id(title)).title(title).description(text).unit(unit).datasource(DATA_SOURCE)
    return panel.span(width).height(height)


def _asking(panel: AnyPanel, queries: Sequence[Query], *, now: bool = False, rows: bool = False) -> AnyPanel:
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(ref_id)
        target.datasource(DATA_SOURCE)
        target = target.instant() if now else target.range()
        panel.with_target(target.format(PromQueryFormat.TABLE) if rows else target)
    return panel


def _steps(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _names(words: Mapping[int, tuple[str, str]]) -> list[models.ValueMapping]:
    results = {
        str(value): models.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(words.items())
    }
    return [models.ValueMap(options=results)]


def number(title: str, text: str, unit: str, query: Query, *, red_from: float | None = None, width: int = 4) -> Panel:
    """One value as it is now; red from ``red_from`` on."""
    panel = _asking(_described(stat.Panel(), title, text, unit, (width, 4)), [query])
    steps: list[tuple[float | None, str]] = [(None, BLUE if red_from is None else GREEN)]
    if red_from is not None:
        steps.append((red_from, RED))
    panel.thresholds(_steps(*steps)).reduce_options(_newest())
    return panel.graph_mode(common_models.BigValueGraphMode.AREA)


def lines(
    title: str, text: str, unit: str, *queries: Query, width: int = 12, log: bool = False, whole: bool = False
) -> timeseries.Panel:
    """Values over time; ``whole`` starts the axis at 0."""
    panel = _asking(_described(timeseries.Panel(), title, text, unit, (width, 8)), queries)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.fill_opacity(0).span_nulls(False).show_points(common_models.VisibilityMode.NEVER)
    if whole:
        panel.axis_soft_min(0)
    if log:
        panel.scale_distribution(common.ScaleDistributionConfig().type(common_models.ScaleDistribution.LOG).log(10))
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        if query.is_limit:
            panel.override_by_query(ref_id, _as_limit())
    return panel


def _as_limit() -> list[models.DynamicConfigValue]:
    return [
        models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": RED}),
        models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
        models.DynamicConfigValue("custom.lineWidth", 1),
    ]


def band(title: str, text: str, unit: str, *queries: Query, low: Query, high: Query, width: int = 12) -> Panel:
    """Values over time, with a 95 % interval as a band. The legends of ``low`` and ``high`` name one series each."""
    panel = lines(title, text, unit, *queries, low, high, width=width)
    faint = models.DynamicConfigValue("custom.lineWidth", 0)
    grey = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": BLUE})
    hidden = models.DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})
    fill = models.DynamicConfigValue("custom.fillOpacity", 15)
    panel.override_by_regexp(f"/^{low.legend.partition('{')[0]}/", [faint, grey, hidden])
    below = models.DynamicConfigValue("custom.fillBelowTo", low.legend)
    return panel.override_by_name(high.legend, [faint, grey, hidden, fill, below])


def states(
    title: str,
    text: str,
    query: Query,
    words: Mapping[int, tuple[str, str]] = HOLDS,
    *,
    width: int = 24,
    height: int = 8,
) -> Panel:
    """A line of states for each series: what held when."""
    panel = _asking(_described(statetimeline.Panel(), title, text, NUMBER, (width, height)), [query])
    panel.mappings(_names(words)).thresholds(_steps((None, GREEN)))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    return panel.show_value(common_models.VisibilityMode.NEVER).merge_values(True).row_height(0.9)


def cells(
    title: str, text: str, unit: str, query: Query, *, steps: Sequence[tuple[float, str]], width: int = 24
) -> Panel:
    """A row of coloured cells for each series: which column, and when. ``steps``: from which value on which colour."""
    panel = _asking(_described(statushistory.Panel(), title, text, unit, (width, 10)), [query])
    panel.thresholds(_steps((None, GREEN), *steps)).max_data_points(CELLS)
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    return panel.show_value(common_models.VisibilityMode.NEVER)


def bars(
    title: str, text: str, unit: str, query: Query, *, steps: Sequence[tuple[float, str]] = (), width: int = 12
) -> Panel:
    """One bar for each series as it is now."""
    panel = _asking(_described(bargauge.Panel(), title, text, unit, (width, 10)), [query], now=True)
    panel.thresholds(_steps((None, GREEN if steps else BLUE), *steps)).reduce_options(_newest()).min(0)
    panel.orientation(common_models.VizOrientation.HORIZONTAL)
    return panel.display_mode(common_models.BarGaugeDisplayMode.BASIC)


def rows(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    by: str | None = None,
    hidden: Sequence[str] = UNSAID,
    names: Mapping[str, str] | None = None,
    width: int = 24,
) -> Panel:
    """A table as things are now: a row for each series, or, ``by`` a label, one column for each query."""
    panel = _asking(_described(table.Panel(), title, text, unit, (width, 9)), queries, now=True, rows=True)
    if by:
        panel.with_transformation(models.DataTransformerConfig("joinByField", options={"byField": by, "mode": "outer"}))
    # A join numbers what both sides have.
    numbered = [f"{name} {number}" for name in hidden for number in range(1, len(queries) + 1)]
    options = {"excludeByName": dict.fromkeys((*hidden, *numbered), True), "renameByName": dict(names or {})}
    return panel.with_transformation(models.DataTransformerConfig("organize", options=options))


def spread(title: str, text: str, unit: str, query: Query, *, width: int = 12) -> Panel:
    """A histogram over time; the query's series are Prometheus' buckets by ``le``."""
    panel = _described(heatmap.Panel(), title, text, unit, (width, 8))
    target = prometheus.Dataquery().expr(query.expr).legend_format("{{le}}").ref_id("A").datasource(DATA_SOURCE)
    panel.with_target(target.range().format(PromQueryFormat.HEATMAP))
    panel.color(heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues"))
    return panel.y_axis(heatmap.YAxisConfig().unit(unit)).calculate(False)
