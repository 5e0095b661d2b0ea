"""The command line of `prediction-service dead-letters`."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from event_backbone.errors import Fault, RejectedError, SettingsError
from event_backbone.events.schema import encode_json, format_utc, parse_utc
from event_backbone.formats.visible_text import visible
from event_backbone.kafka.access import KafkaAccess, is_kafka
from event_backbone.kafka.topics import Topics
from event_backbone.ports import MessageProducer, Received, Sink
from event_backbone.settings import read_settings
from prediction_service.delivery.sinks import kafka_of_sinks, open_sinks
from prediction_service.operations.dead_letters import (
    CollectedLetter,
    Filter,
    find,
    letter_with_id,
    messages_until_now,
    replay,
)
from prediction_service.settings import ReplicaSettings

_COLUMNS = ("id", "reason", "origin", "first_seen", "attempts")


class DeadLetterOperations:
    """Dead letters of CASE: of the Kafka among SINKS, where there is one, and of this machine's journals."""

    def __init__(self) -> None:
        self.settings = read_settings(ReplicaSettings)
        self.case = self.settings.load_case()
        self.access = _kafka(self.settings)

    def find(self, chosen: Filter, *, contents: bool) -> list[CollectedLetter]:
        return find(self._published, self.settings.journals_dir, chosen, contents=contents)

    def _published(self) -> Iterator[Received]:
        if self.access is None:
            return iter(())
        topic = Topics(self.access.namespace, self.case.name).dead_letters
        return messages_until_now(self.access, topic, timeout_s=self.settings.sink_timeout_s)

    @contextlib.contextmanager
    def publisher(self) -> Iterator[MessageProducer | None]:
        from event_backbone.kafka.producer import KafkaPublisher

        if self.access is None:
            yield None
        else:
            with contextlib.closing(KafkaPublisher(self.access, timeout_s=self.settings.sink_timeout_s)) as publisher:
                yield publisher

    @contextlib.contextmanager
    def sinks(self) -> Iterator[Sequence[Sink]]:
        settings = self.settings
        opened = open_sinks(settings.sinks, self.case, settings, timeout_s=settings.sink_timeout_s)
        try:
            yield opened
        finally:
            for sink in opened:
                sink.close()


def _kafka(settings: ReplicaSettings) -> KafkaAccess | None:
    return kafka_of_sinks(settings) if any(is_kafka(url) for url in settings.sinks) else None


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that nobody could take, and rows that a sink refused: list, show and replay them."""


def _filtered(command: Any) -> Any:
    @click.option("--reason", help="Only those with this reason.")
    @click.option("--since", help="Only those first seen since then (RFC 3339, such as 2026-01-01T00:00:00Z).")
    @click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest first.")
    @functools.wraps(command)
    def with_filter(*arguments: Any, reason: str | None, since: str | None, limit: int | None, **others: Any) -> Any:
        return command(*arguments, chosen=Filter(reason, _time(since), limit=limit), **others)

    return with_filter


def _time(text: str | None) -> str | None:
    try:
        return None if text is None else format_utc(parse_utc(text))
    except ValueError as error:
        raise SettingsError("command line", [Fault("--since", "format", str(error))]) from None


@dead_letters.command("list")
@_filtered
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(chosen: Filter, as_json: bool) -> None:
    """List dead letters, each once, without what is in them.

    \b
    Example:
      CASE=census SINKS=kafka://127.0.0.1:9092 prediction-service dead-letters list --reason record --limit 20
    """
    found = DeadLetterOperations().find(chosen, contents=False)
    if as_json:
        for one in found:
            click.echo(encode_json(_row(one)).decode())
    elif not found:
        click.echo("There are no dead letters.", err=True)
    else:
        _show_table(found)


def _row(one: CollectedLetter) -> dict[str, Any]:
    letter = one.letter
    return dict(zip(_COLUMNS, (letter.id, letter.reason, one.origin, letter.first_seen, one.attempts), strict=True))


def _show_table(found: Sequence[CollectedLetter]) -> None:
    if not sys.stdout.isatty():
        for one in found:
            click.echo("\t".join(_cells(one)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*_COLUMNS)
    for one in found:
        table.add_row(*_cells(one))
    Console(markup=False).print(table)


def _cells(one: CollectedLetter) -> list[str]:
    """Whoever may write to the topic chose ids and reasons: one line each, and nothing that a terminal obeys."""
    return [visible(str(value)) for value in _row(one).values()]


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
def show_command(letter_id: str) -> None:
    """Show one dead letter as JSON, with its faults and what is in it.

    \b
    Example:
      CASE=census SINKS=kafka://127.0.0.1:9092 prediction-service dead-letters show census.records-0-17
    """
    one = letter_with_id(DeadLetterOperations().find(Filter(ids=frozenset([letter_id])), contents=True), letter_id)
    click.echo(encode_json(_document(one)).decode())


def _document(one: CollectedLetter) -> dict[str, Any]:
    letter = one.letter
    return {
        **_row(one),
        "service": letter.service,
        "faults": letter.faults,
        "key": _text(letter.key),
        "value": _text(letter.value),
        "headers": {name: _text(value) for name, value in letter.headers},
        **({"omitted_bytes": letter.omitted_bytes} if letter.omitted_bytes is not None else {}),
    }


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="backslashreplace")


@dead_letters.command("replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them, or all that the filter takes.")
@_filtered
def replay_command(letter_ids: tuple[str, ...], every: bool, chosen: Filter) -> None:
    """Send records back to their topics, and rows to their sinks; twice gives the same state.

    Ends with 1 when one of them can't be sent back.

    \b
    Examples:
      prediction-service dead-letters replay census.records-0-17
      prediction-service dead-letters replay --all --reason record --since 2026-01-01T00:00:00Z
    """
    if bool(letter_ids) == every:
        raise SettingsError("command line", [Fault("ID", "missing", "name some, or say --all; not both")])
    operations = DeadLetterOperations()
    ids = frozenset(letter_ids)
    found = operations.find(Filter(chosen.reason, chosen.since, ids, chosen.limit), contents=True)
    for letter_id in letter_ids:
        letter_with_id(found, letter_id)
    with operations.publisher() as publisher, operations.sinks() as sinks:
        replayed = replay(found, publisher, sinks, operations.settings.journals_dir)
    click.echo(f"{replayed.count} sent back")
    if replayed.not_replayed:
        raise RejectedError([Fault(one, "replay", why) for one, why in replayed.not_replayed.items()])
