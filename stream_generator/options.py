"""What the commands' options may say."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from event_backbone.events import parse_utc
from event_backbone.validation import RECORD_ID_PATTERN

_FILE = click.Path(dir_okay=False, path_type=Path)


class PositiveOrMax(click.ParamType[float | None]):
    """A positive number, with an optional suffix, or ``max``, which becomes ``None``."""

    def __init__(self, name: str, suffix: str = "") -> None:
        self.name = name
        self._suffix = suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == "max":
            return None
        try:
            number = float(str(value).removesuffix(self._suffix))
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.fail(f"{value!r} is neither a positive number nor max", param, ctx)
        return number


class UtcTime(click.ParamType[datetime]):
    """An RFC 3339 time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return parse_utc(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a stream is sent, whatever it holds."""

    url: str | None
    concurrency: int
    label_delay: float
    run_id: str
    summary_path: Path | None


def _checked_run_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    run_id = value or f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    # Room is left for the index that follows.
    if not re.match(RECORD_ID_PATTERN, f"{run_id}-{10**15}"):
        raise click.BadParameter("must be short and made of A-Z a-z 0-9 . _ : ~ -")
    return run_id


_DELIVERY_OPTIONS = (
    click.option("--url", help="Address of the prediction service.  [default: PREDICTION_URL]"),
    click.option(
        "--concurrency",
        default=8,
        show_default=True,
        type=click.IntRange(1, 1000),
        help="Most records in flight; the service's MAX_IN_FLIGHT should not be below.",
    ),
    click.option(
        "--label-delay",
        default=3.0,
        show_default=True,
        type=click.FloatRange(min=0),
        help="Seconds from an answer to its label.",
    ),
    click.option("--run-id", callback=_checked_run_id, help="Record ids begin with it.  [default: made from the time]"),
    click.option("--summary", "summary_path", type=_FILE, help="Write the summary there as JSON."),
)


def with_delivery(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :class:`Delivery`, as its argument ``delivery``."""

    @functools.wraps(command)
    def gathered(
        url: str | None, concurrency: int, label_delay: float, run_id: str, summary_path: Path | None, **others: Any
    ) -> None:
        command(delivery=Delivery(url, concurrency, label_delay, run_id, summary_path), **others)

    for option in reversed(_DELIVERY_OPTIONS):
        gathered = option(gathered)
    return gathered
