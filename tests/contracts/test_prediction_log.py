"""The contract of the PredictionLog port, on each adapter, and on broken ones that must fail it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from monitoring_world import enveloped, label, prediction
from real_parts import MongoServer

from event_backbone.errors import RejectedError, TryAgainLaterError
from event_backbone.events.schema import Event, Label, Prediction
from event_backbone.in_memory.log import MemoryLog
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.log import MongoLog
from event_backbone.mongodb.sink import MongoSink
from event_backbone.ports import LoggedPrediction, PredictionLog
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.prediction_log.sqlite import SqliteLog
from event_backbone.settings import ConnectionSettings
from prediction_service.journal.writer import Journal

RECORD = {"price": 50.0, "items": 2**40, "payment": None}


class Side(Protocol):
    """A log and the function that adds events to it."""

    def keep(self, events: Sequence[Event]) -> None: ...

    def log(self) -> PredictionLog: ...

    def go_away(self) -> None: ...

    def come_back(self) -> None: ...


Check = Callable[[Side], None]


def at(second: int) -> str:
    return f"2026-03-01T00:00:{second:02}.000000Z"


def made(*seconds: int, prefix: str = "r") -> list[Prediction]:
    """One prediction for each second, called after it; later ones are not the first in the order of their ids."""
    return [prediction(f"{prefix}{second}", RECORD, predicted_at=at(second)) for second in seconds]


def pages(log: PredictionLog, limit: int, *, after: str | None = None, **period: str) -> list[list[LoggedPrediction]]:
    """Page after page, until one is empty."""
    found: list[list[LoggedPrediction]] = []
    while page := list(log.predictions(after=after, limit=limit, **period)):
        found.append(page)
        after = page[-1].cursor
        assert len(found) < 100, "the pages do not end"
    return found


def ids(found: Sequence[Sequence[LoggedPrediction]]) -> list[str]:
    return [one.prediction.record_id for page in found for one in page]


# The checks -----------------------------------------------------------------------------------------------------------


def a_prediction_is_found_by_its_id(side: Side) -> None:
    first, second = made(1, 2)
    side.keep([first, second])
    assert side.log().prediction("r1") == first
    assert side.log().prediction("r2") == second


def an_unknown_id_is_none(side: Side) -> None:
    side.keep([*made(1), label("r2")])
    assert side.log().prediction("r2") is None
    assert side.log().prediction("r") is None


def what_is_read_is_what_was_kept(side: Side) -> None:
    tricky = {"price": 1e-308, "items": -(2**63), "payment": "käse \u2028 $a.b"}
    kept = prediction("tricky:~.-_", tricky, predicted_at=at(1), score=0.1 + 0.2)
    side.keep([kept])
    assert side.log().prediction("tricky:~.-_") == kept
    assert [one.prediction for one in side.log().predictions(limit=5)] == [kept]
    record = side.log().predictions(limit=1)[0].prediction.record
    assert [type(value) for value in record.values()] == [float, int, str]


def an_empty_log_has_nothing(side: Side) -> None:
    log = side.log()
    assert (list(log.predictions(limit=5)), log.count(), dict(log.labels(["r1"]))) == ([], 0, {})
    assert log.prediction("r1") is None


def pages_hold_everything_once_in_order(side: Side) -> None:
    events = made(*range(1, 12))
    side.keep(events)
    for limit in (1, 3, 11, 50):
        found = pages(side.log(), limit)
        assert ids(found) == [event.record_id for event in events]
        assert all(len(page) <= limit for page in found)


def predictions_of_one_moment_are_paged_too(side: Side) -> None:
    events = [prediction(f"same-{number:02}", RECORD, predicted_at=at(5)) for number in range(10)]
    side.keep([*made(1), *events, *made(9)])
    assert ids(pages(side.log(), 3)) == ["r1", *(event.record_id for event in events), "r9"]


def a_period_holds_its_beginning_and_not_its_end(side: Side) -> None:
    side.keep(made(*range(1, 10)))
    log = side.log()
    assert ids(pages(log, 2, since=at(3), until=at(6))) == ["r3", "r4", "r5"]
    assert ids(pages(log, 2, since=at(8))) == ["r8", "r9"]
    assert ids(pages(log, 2, until=at(3))) == ["r1", "r2"]
    assert ids(pages(log, 2, since=at(20))) == []


def what_comes_while_pages_are_read_takes_nothing_away(side: Side) -> None:
    before = made(1, 3, 5, 7)
    side.keep(before)
    log = side.log()
    first = list(log.predictions(limit=2))
    side.keep(made(2, 6, 8))
    read = ids([first, *pages(log, 2, after=first[-1].cursor)])
    assert len(read) == len(set(read))
    assert {event.record_id for event in before} <= set(read)


def a_cursor_outlives_the_log_it_came_from(side: Side) -> None:
    side.keep(made(1, 2, 3))
    cursor = side.log().predictions(limit=2)[-1].cursor
    assert ids([list(side.log().predictions(after=cursor, limit=5))]) == ["r3"]


def what_is_no_cursor_is_rejected(side: Side) -> None:
    side.keep(made(1))
    for text in ("", "yesterday", "-1", '{"$gt": ""}', "1" * 30):
        with pytest.raises(RejectedError):
            side.log().predictions(after=text, limit=5)


def predictions_alone_are_counted(side: Side) -> None:
    side.keep([*made(1, 2, 3), label("r1"), label("r9")])
    assert side.log().count() == 3
    assert side.log().count(since=at(2)) == 2
    assert side.log().count(since=at(2), until=at(3)) == 1


def the_latest_label_wins(side: Side) -> None:
    labels = [label("r1", "yes", at(3)), label("r1", "no", at(5)), label("r1", "yes", at(4)), label("r2", "no", at(1))]
    side.keep(labels)
    assert dict(side.log().labels(["r1", "r2", "r3"])) == {"r1": labels[1], "r2": labels[3]}


def labels_come_for_the_ids_that_were_asked_for(side: Side) -> None:
    side.keep([label("a"), label("a:b", "no"), label("b"), label("a~")])
    assert dict(side.log().labels(["a"])) == {"a": label("a")}
    assert dict(side.log().labels([])) == {}
    assert set(side.log().labels({"a", "a:b", "c"})) == {"a", "a:b"}


def many_labels_are_found_at_once(side: Side) -> None:
    side.keep([label(f"r{number}") for number in range(600)])
    assert len(side.log().labels([f"r{number}" for number in range(1200)])) == 600


def a_log_that_is_away_is_try_again_later(side: Side) -> None:
    side.keep([*made(1), label("r1")])
    log = side.log()
    side.go_away()
    try:
        for question in (
            lambda: log.prediction("r1"),
            lambda: log.predictions(limit=1),
            log.count,
            lambda: log.labels(["r1"]),
        ):
            with pytest.raises(TryAgainLaterError):
                question()
    finally:
        side.come_back()
    assert log.prediction("r1") == made(1)[0]


CHECKS: list[Check] = [
    a_prediction_is_found_by_its_id,
    an_unknown_id_is_none,
    what_is_read_is_what_was_kept,
    an_empty_log_has_nothing,
    pages_hold_everything_once_in_order,
    predictions_of_one_moment_are_paged_too,
    a_period_holds_its_beginning_and_not_its_end,
    what_comes_while_pages_are_read_takes_nothing_away,
    a_cursor_outlives_the_log_it_came_from,
    what_is_no_cursor_is_rejected,
    predictions_alone_are_counted,
    the_latest_label_wins,
    labels_come_for_the_ids_that_were_asked_for,
    many_labels_are_found_at_once,
    a_log_that_is_away_is_try_again_later,
]


def by_name(check: Check) -> str:
    return check.__name__


# The adapters ---------------------------------------------------------------------------------------------------------


class MemorySide:
    def __init__(self, kind: type[MemoryLog] = MemoryLog) -> None:
        self._log = kind()

    def keep(self, events: Sequence[Event]) -> None:
        self._log.keep(events)

    def log(self) -> PredictionLog:
        return self._log

    def go_away(self) -> None:
        self._log.away = "away"

    def come_back(self) -> None:
        self._log.away = None


class JournalSide:
    """A journal that is written meanwhile; away means that its table is called something else."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._journal = stack.enter_context(contextlib.closing(Journal(folder / "a journal?#.sqlite", max_bytes=2**30)))

    def keep(self, events: Sequence[Event]) -> None:
        self._journal.append([entry_of(event) for event in events])

    def log(self) -> PredictionLog:
        return self._stack.enter_context(contextlib.closing(SqliteLog(self._journal.path)))

    def go_away(self) -> None:
        self._journal._db.execute("ALTER TABLE entries RENAME TO elsewhere")

    def come_back(self) -> None:
        self._journal._db.execute("ALTER TABLE elsewhere RENAME TO entries")


class MongoSide:
    """A MongoDB of this module's own, and a database of this check's own, filled through the sink."""

    def __init__(self, server: MongoServer, database: str, stack: contextlib.ExitStack) -> None:
        self._server = server
        self._stack = stack
        self._access = mongo_access(f"{server.url}/{database}", ConnectionSettings(), timeout_s=5)
        self._sink = stack.enter_context(contextlib.closing(MongoSink(self._access, "shop")))

    def keep(self, events: Sequence[Event]) -> None:
        assert list(self._sink.deliver(enveloped(events)).refused) == []

    def log(self) -> PredictionLog:
        return self._stack.enter_context(contextlib.closing(MongoLog(self._access, "shop")))

    def go_away(self) -> None:
        self._server.stop()

    def come_back(self) -> None:
        self._server.start()


@pytest.fixture(params=["memory", "sqlite", pytest.param("mongodb", marks=pytest.mark.real_parts)])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Side]:
    with contextlib.ExitStack() as stack:
        if request.param == "memory":
            yield MemorySide()
        elif request.param == "sqlite":
            yield JournalSide(tmp_path, stack)
        else:
            server, database = request.getfixturevalue("mongo_server"), request.getfixturevalue("mongo_database")
            yield MongoSide(server, database, stack)


@pytest.mark.parametrize("check", CHECKS, ids=by_name)
def test_each_adapter_keeps_the_contract(check: Check, side: Side) -> None:
    check(side)


# Broken adapters ------------------------------------------------------------------------------------------------------


class OneShort(MemoryLog):
    """Leaves the last one of a page out."""

    def predictions(self, **page: object) -> Sequence[LoggedPrediction]:
        found = super().predictions(**page)
        return found[:-1] if len(found) > 1 else found


class Repeating(MemoryLog):
    """Begins a page with the last one of the page before."""

    def predictions(self, *, after: str | None = None, **page: object) -> Sequence[LoggedPrediction]:
        at, tilde, record_id = (after or "").partition("~")
        return super().predictions(after=f"{at}~{record_id[:-1]}" if tilde else after, **page)


class ByTimeAlone(MemoryLog):
    """Takes a cursor for a time, and passes over what shares it."""

    def predictions(self, *, after: str | None = None, **page: object) -> Sequence[LoggedPrediction]:
        time, tilde, _ = (after or "").partition("~")
        return super().predictions(after=f"{time}~\U0010ffff" if tilde else after, **page)


class Inclusive(MemoryLog):
    """Takes the end of a period for a part of it."""

    def predictions(self, *, until: str | None = None, **page: object) -> Sequence[LoggedPrediction]:
        return super().predictions(until=f"{until}~" if until else None, **page)


class Unlimited(MemoryLog):
    """Gives all at once."""

    def predictions(self, *, limit: int, **page: object) -> Sequence[LoggedPrediction]:
        return super().predictions(limit=limit * 1000, **page)


class Forgiving(MemoryLog):
    """Begins anew when it is shown what is no cursor."""

    def predictions(self, *, after: str | None = None, **page: object) -> Sequence[LoggedPrediction]:
        return super().predictions(after=after if after and "~" in after else None, **page)


class FirstLabel(MemoryLog):
    """Lets the first label stand."""

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]:
        self._answer()
        mine = [one for one in self._labels.values() if one.record_id in set(record_ids)]
        return {one.record_id: one for one in reversed(mine)}


class Prefixing(MemoryLog):
    """Takes the labels of longer ids for those of a shorter one."""

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]:
        known = {one.record_id for one in self._labels.values()}
        return super().labels({one for one in known for wanted in record_ids if one.startswith(wanted)})


class Overwriting(MemoryLog):
    """Makes whole numbers of what it keeps."""

    def prediction(self, record_id: str) -> Prediction | None:
        found = super().prediction(record_id)
        return found and prediction(record_id, {**found.record, "price": int(found.record["price"])})


class CountingLabels(MemoryLog):
    def count(self, *, since: str | None = None, until: str | None = None) -> int:
        return super().count(since=since, until=until) + len(self._labels)


class Silent(MemoryLog):
    """Has nothing to say when it is away."""

    def _answer(self) -> None:
        """Says nothing."""


BROKEN = [
    OneShort,
    Repeating,
    ByTimeAlone,
    Inclusive,
    Unlimited,
    Forgiving,
    FirstLabel,
    Prefixing,
    Overwriting,
    CountingLabels,
    Silent,
]


@pytest.mark.parametrize("kind", BROKEN)
def test_the_suite_fails_on_a_broken_adapter(kind: type[MemoryLog]) -> None:
    failed = []
    for check in CHECKS:
        try:
            check(MemorySide(kind))
        except (AssertionError, pytest.fail.Exception):
            failed.append(check)
    assert failed


# What only one of them can do -----------------------------------------------------------------------------------------


def test_a_journal_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        side = JournalSide(tmp_path, stack)
        side.keep(made(5, 1))
        side.keep(made(3))
        assert ids(pages(side.log(), 2)) == ["r5", "r1", "r3"]


def test_a_log_without_a_file_is_try_again_later_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(TryAgainLaterError):
        SqliteLog(tmp_path / "absent.sqlite")
    assert list(tmp_path.iterdir()) == []
