"""PromQL expressions that many panels share. ``$case`` and ``$version`` are the dashboards' variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RATE_TIME = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression; ``legend`` names its series with ``{{label}}``.

    ``is_limit`` draws them as a dashed red line: what the others are held against.
    """

    expr: str
    legend: str = ""
    is_limit: bool = False


def of_case(metric: str, *matchers: str) -> str:
    """The chosen case's series of a metric."""
    chosen = ", ".join(('case="$case"', *matchers))
    return f"{metric}{{{chosen}}}"


def of_version(metric: str, *matchers: str) -> str:
    """The same of the chosen model versions."""
    return of_case(metric, 'version=~"$version"', *matchers)


def rate(metric: str, *matchers: str, by: str = "") -> str:
    """Events a second, by labels or in all."""
    return _sum(f"rate({of_case(metric, *matchers)}[{RATE_TIME}])", by)


def increase(metric: str, *matchers: str, by: str = "", over: str = RATE_TIME) -> str:
    """Events between two points of the chart, or within ``over``."""
    return _sum(f"increase({of_case(metric, *matchers)}[{over}])", by)


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """A quantile of a histogram, of what it has seen lately."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', *matchers, by=labels)})"


def either(*exprs: str) -> str:
    """The series of all of them; of equal labels the first ones."""
    return " or ".join(exprs)


def or_zero(expr: str) -> str:
    """0 where there is nothing to sum up: a part that does not run has done nothing."""
    return f"{expr} or on() vector(0)"


def numbered(metric: str, label: str, names: Mapping[str, int], by: str) -> str:
    """Series of 0 or 1 by ``label`` become one for each ``by``: the highest number whose name holds, else 0."""
    series = {of_case(metric, f'{label}="{name}"'): number for name, number in names.items()}
    return f"max by ({by}) ({either(*(f'{one} * {number}' for one, number in series.items()))})"


def limit(name: str) -> Query:
    """A limit from the case file, as it is exported."""
    return Query(of_case("monitoring_threshold_ratio", f'threshold="{name}"'), "limit", is_limit=True)


def limit_in_seconds(name: str) -> Query:
    return Query(of_case("monitoring_threshold_seconds", f'threshold="{name}"'), "limit", is_limit=True)


def seconds_since(timestamps: str) -> str:
    return f"time() - {timestamps}"


def _sum(expr: str, by: str) -> str:
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"
