"""Options of the commands."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from event_backbone.case.records import RECORD_ID_PATTERN
from event_backbone.events.schema import parse_utc
from stream_generator.recording.port import Period

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
    """Options of sending a stream; ``None`` leaves the target its own default."""

    target: str | None
    concurrency: int | None
    label_delay: float
    run_id: str
    summary_path: Path | None
    books_path: Path | None = None
    monitoring_url: str | None = None


def _checked_run_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    run_id = value or f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    # Room is left for the index that follows.
    if not re.match(RECORD_ID_PATTERN, f"{run_id}-{10**15}"):
        raise click.BadParameter("must be short and made of A-Z a-z 0-9 . _ : ~ -")
    return run_id


_DELIVERY_OPTIONS = (
    click.option(
        "--to",
        "--url",
        "target",
        help="Where to: http://… of a prediction service, or kafka://host:9092[/namespace].  [default: PREDICTION_URL]",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1, 10_000),
        help="Most records in flight; a service's MAX_IN_FLIGHT should not be below.  [default: 8; to Kafka, 500]",
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
    click.option(
        "--books",
        "books_path",
        type=_FILE,
        help="Note there each record that is sent and each answer, for `check`; a file that is there goes on.",
    ),
    click.option(
        "--monitoring",
        "monitoring_url",
        help="With --books: note what this monitoring service, http://…, had counted before.",
    ),
)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Options of a replay. ``speed`` is ``None`` for as fast as possible."""

    source: str
    topic: str
    since: datetime | None
    until: datetime | None
    speed: float | None
    new_ids: bool
    labels: bool
    resume: bool
    state_path: Path | None

    @property
    def period(self) -> Period:
        return Period(self.since, self.until)


_REPLAY_OPTIONS = (
    click.option(
        "--from",
        "source",
        required=True,
        help="mongodb://host[/database], kafka://host:9092[/namespace], sqlite:///journal, or a path: a journal, or "
        "JSONL.",
    ),
    click.option(
        "--speed", default="1x", show_default=True, type=PositiveOrMax("speed", "x"), help="Such as 10x, or max."
    ),
    click.option("--since", type=UtcTime(), help="Leave out what was recorded before, such as 2026-01-31T08:00:00Z."),
    click.option("--until", type=UtcTime(), help="Leave out what was recorded then or later."),
    click.option(
        "--topic",
        default="predictions",
        show_default=True,
        type=click.Choice(["predictions", "records"]),
        help="What to read from Kafka: <case>.predictions or <case>.records.",
    ),
    click.option("--new-ids", is_flag=True, help="Give every record a new id instead of its recorded one."),
    click.option("--labels/--no-labels", default=True, show_default=True, help="Send recorded labels again, too."),
    click.option("--resume", is_flag=True, help="Go on behind what an earlier run of the same replay sent."),
    click.option(
        "--state", "state_path", type=_FILE, help="How far the replay is.  [default: a file below STATE_DIR/replays]"
    ),
)


def _with(kind: type[Any], argument: str, options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Give a command these options, gathered as its one argument of a dataclass ``kind``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def gathered(**values: Any) -> None:
            own = {field.name: values.pop(field.name) for field in fields(kind)}
            command(**{argument: kind(**own)}, **values)

        for option in reversed(options):
            gathered = option(gathered)
        return gathered

    return decorate


with_delivery = _with(Delivery, "delivery", _DELIVERY_OPTIONS)
with_replay_options = _with(ReplayOptions, "options", _REPLAY_OPTIONS)
