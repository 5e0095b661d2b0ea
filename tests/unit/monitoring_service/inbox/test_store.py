"""The inbox: everything once, in one transaction, and the same after a restart."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from monitoring_world import MODEL, START, enveloped, label, made_case, prediction, predictions

from event_backbone.errors import SettingsError
from event_backbone.events.schema import Erasure, Event, FaultCount, ModelRef, Rejections
from monitoring_service.checks.maintenance import InboxMaintenance
from monitoring_service.drift.verdict import Episode
from monitoring_service.inbox.schema import FORMAT
from monitoring_service.inbox.store import Inbox, InboxUnavailableError, KeptCheck
from monitoring_service.inbox.topic_ids import forget_places_in_another_topic
from monitoring_service.inbox.totals import InboxTotals
from monitoring_service.inbox.transaction import Progress
from monitoring_service.reports.folder import ReportFolder

LATER = "2026-01-02T00:00:00.000000Z"
RECORD = {"price": 10.0, "items": 1, "payment": "card"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Inbox]]:
    """Opens the inbox; again is a restart."""
    inboxes: list[Inbox] = []

    def open_inbox() -> Inbox:
        for inbox in inboxes:
            inbox.close()
        inboxes.append(Inbox(tmp_path / "inbox.sqlite", made_case(), clock=clock, points_kept=3))
        return inboxes[-1]

    yield open_inbox
    for inbox in inboxes:
        inbox.close()


@pytest.fixture
def inbox(opened: Callable[[], Inbox]) -> Inbox:
    return opened()


def erasure(record_id: str) -> Erasure:
    return Erasure(record_id, "shop", LATER)


def rejections(rejections_id: str, records: int, **by_column: int) -> Rejections:
    faults = [FaultCount(column, "range", count) for column, count in by_column.items()]
    return Rejections(rejections_id, "shop", START, LATER, records, faults)


def store(inbox: Inbox, *events: Event, source: str = "journal-1") -> tuple[int, int, int]:
    stored = inbox.store(enveloped(events, source=source))
    return stored.accepted, stored.duplicates, stored.conflicts


def labels_of(inbox: Inbox, model: ModelRef = MODEL) -> list[str | float]:
    return inbox.labelled_rows(model, until_row=10**9, limit=100).labels


def test_a_prediction_is_counted_once_however_often_it_comes(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    events = predictions(5)
    assert store(inbox, *events) == (5, 0, 0)
    assert store(inbox, *events, source="another journal") == (0, 5, 0)
    assert store(opened(), *events) == (0, 5, 0)
    assert opened().totals == InboxTotals(predictions=5, duplicates=10)


def test_the_same_id_twice_in_one_batch_is_counted_once(inbox: Inbox) -> None:
    (event,) = predictions(1)
    assert store(inbox, event, event) == (1, 1, 0)


def test_another_content_for_a_known_id_is_a_conflict_and_the_first_stands(inbox: Inbox) -> None:
    store(inbox, prediction("a", RECORD))
    other = prediction("a", {**RECORD, "price": 99.0})
    assert store(inbox, other) == (0, 0, 1)
    assert store(inbox, other) == (0, 1, 0), "the same conflict delivered again is a repetition"
    assert inbox.totals == InboxTotals(predictions=1, duplicates=1, conflicts=1)
    (row,) = inbox.rows_from(1)
    assert row.record["price"] == 10.0


def test_a_batch_that_fails_in_the_middle_leaves_nothing_behind(inbox: Inbox) -> None:
    store(inbox, *predictions(1))
    unstorable = msgspec.structs.replace(prediction("bad", RECORD), record={"price": object()})
    with pytest.raises(TypeError):
        store(inbox, prediction("good", RECORD), label("r0"), unstorable)
    assert inbox.totals == InboxTotals(predictions=1)
    assert inbox.positions() == {"journal-1": 1}
    assert store(inbox, prediction("good", RECORD)) == (1, 0, 0)


def test_a_disk_that_refuses_is_told_as_try_again_later(inbox: Inbox, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "inbox.sqlite")
    inbox._db.execute("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InboxUnavailableError):
        store(inbox, *predictions(1))
    other.close()
    assert store(inbox, *predictions(1)) == (1, 0, 0)


def test_the_highest_place_of_each_source_is_remembered(inbox: Inbox, opened: Callable[[], Inbox]) -> None:
    inbox.store(enveloped(predictions(3), source="a", first_seq=10))
    inbox.store(enveloped(predictions(3), source="a", first_seq=4))
    inbox.store(enveloped(predictions(1), source="b"))
    assert opened().positions() == {"a": 12, "b": 1}


@pytest.mark.parametrize("label_first", [True, False])
def test_a_label_finds_its_prediction_whichever_comes_first(inbox: Inbox, label_first: bool) -> None:
    events: list[Event] = [prediction("a", RECORD), label("a", "yes")]
    for event in reversed(events) if label_first else events:
        store(inbox, event)
    assert labels_of(inbox) == ["yes"]
    assert inbox.waiting_labels() == 0


@pytest.mark.parametrize("latest_first", [True, False])
@pytest.mark.parametrize("prediction_last", [True, False])
def test_the_latest_label_counts_in_whatever_order_they_come(
    inbox: Inbox, latest_first: bool, prediction_last: bool
) -> None:
    labels: list[Event] = [label("a", "no", START), label("a", "yes", LATER)]
    labels = labels[::-1] if latest_first else labels
    events = [*labels, prediction("a", RECORD)] if prediction_last else [prediction("a", RECORD), *labels]
    for event in events:
        store(inbox, event)
    assert labels_of(inbox) == ["yes"]
    assert inbox.totals.labels == 2, "the earlier one is kept"


def test_times_of_labels_are_compared_as_times(inbox: Inbox) -> None:
    store(inbox, prediction("a", RECORD), label("a", "yes", "2026-01-01T10:00:00+09:00"))
    store(inbox, label("a", "no", "2026-01-01T02:00:00Z"))
    assert labels_of(inbox) == ["no"]


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_of_two_labels_with_one_time_the_same_counts_in_any_order(inbox: Inbox, order: tuple[int, ...]) -> None:
    events: list[Event] = [prediction("a", RECORD), label("a", "no", START), label("a", "yes", START)]
    for place in order:
        store(inbox, events[place])
    assert labels_of(inbox) == ["yes"]


def test_a_label_again_is_a_duplicate(inbox: Inbox) -> None:
    assert store(inbox, label("a"), label("a")) == (1, 1, 0)


def test_labelled_rows_are_the_newest_of_their_model_version(inbox: Inbox) -> None:
    for index in range(6):
        model = ModelRef("m", "1" if index < 4 else "2")
        store(inbox, prediction(f"p{index}", RECORD, model=model, score=index / 10), label(f"p{index}"))
    assert inbox.labelled_rows(ModelRef("m", "1"), until_row=3, limit=2).scores == [0.2, 0.1]
    assert inbox.labelled_rows(ModelRef("m", "2"), until_row=9, limit=2).scores == [0.5, 0.4]


def test_labels_without_prediction_are_counted_once_when_they_are_old_enough(inbox: Inbox, clock: Clock) -> None:
    store(inbox, label("lost"))
    clock.now += 100
    store(inbox, label("may still come"), label("r0"), *predictions(1))
    inbox.note_unmatched(received_before=clock.now - 50, limit=10)
    inbox.note_unmatched(received_before=clock.now - 50, limit=10)
    assert inbox.totals.unmatched_labels == 1
    assert inbox.waiting_labels() == 1


def test_rejected_records_are_counted_once(inbox: Inbox) -> None:
    store(inbox, *predictions(2))
    event = rejections("x", 3, price=2, items=1)
    assert store(inbox, event, event) == (1, 1, 0)
    assert inbox.totals.rejected_records == 3
    (found,) = inbox.rejected_from(1)
    assert (found.at_row, found.records) == (2, 3)
    assert [(fault.column, fault.count) for fault in found.faults] == [("price", 2), ("items", 1)]


def test_an_erasure_takes_the_content_and_leaves_the_count(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    secret = {"price": 10.0, "items": 1, "payment": "a secret payment"}
    store(inbox, prediction("a", secret), label("a"), *predictions(2))
    stored = inbox.store(enveloped([erasure("a"), erasure("a")]))
    assert (stored.accepted, stored.duplicates, stored.erased) == (1, 1, [1])
    assert store(inbox, prediction("a", secret), label("a")) == (0, 2, 0), "what is erased stays known"
    assert [row.number for row in opened().rows_from(1)] == [2, 3]
    inbox = opened()
    assert labels_of(inbox) == []
    assert inbox.totals == InboxTotals(predictions=3, labels=1, duplicates=3, erasures=1)


def test_what_was_erased_is_in_no_file_any_more(inbox: Inbox, tmp_path: Path) -> None:
    store(inbox, prediction("a", {"payment": "a secret payment"}), *predictions(2))
    assert any(b"a secret payment" in path.read_bytes() for path in tmp_path.iterdir())
    store(inbox, erasure("a"))
    assert not any(b"a secret payment" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_erased_in_a_busy_inbox_leaves_no_bytes(inbox: Inbox, tmp_path: Path, seed: int) -> None:
    """Pages are split, merged and reused meanwhile: none of them may keep an old copy."""
    rng = random.Random(seed)
    secrets: dict[str, str] = {}
    for step in range(30):
        for number in range(rng.randint(1, 60)):
            secrets[f"r{step}-{number}"] = f"{rng.getrandbits(64):016x}"
        made = [(key, secret) for key, secret in secrets.items() if key.startswith(f"r{step}-")]
        store(
            inbox,
            *(prediction(key, {"payment": secret * rng.choice([1, 1, 40, 300])}) for key, secret in made),
            *(label(key, secret) for key, secret in made[::2]),
            *(prediction(key, {"payment": "other"}, content_hash=secret) for key, secret in made[::3]),
        )
        inbox.trim(first_row_needed=inbox.totals.predictions - 300, received_before=0, limit=100)
        erased = rng.sample(sorted(secrets), min(5, len(secrets)))
        store(inbox, *map(erasure, erased))
        inbox.scrub()
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert [key for key in erased if secrets.pop(key).encode() in kept] == []


def test_scrubbing_is_due_after_an_erasure_until_it_is_done(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    store(inbox, *predictions(3))
    assert not inbox.scrub_due
    store(inbox, erasure("r1"))
    assert opened().scrub_due
    opened().scrub()
    assert not opened().scrub_due
    assert opened().totals == InboxTotals(predictions=3, erasures=1)


def test_housekeeping_scrubs_without_haste(inbox: Inbox, clock: Clock, tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path / "reports", kept=2, kept_s=1e9)
    housekeeping = InboxMaintenance(inbox, lambda: 1, reports, retention_s=1e9, unmatched_after_s=1e9, clock=clock)
    due = []
    for number in range(15):
        store(inbox, *predictions(1, first=number), erasure(f"r{number}"))
        housekeeping.step()
        due.append(inbox.scrub_due)
        clock.now += 1
    assert due == [False, *[True] * 9, False, *[True] * 4]


def test_housekeeping_removes_reports_that_the_intake_could_not(inbox: Inbox, clock: Clock, tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path / "reports", kept=2, kept_s=1e9)
    housekeeping = InboxMaintenance(inbox, lambda: 1, reports, retention_s=1e9, unmatched_after_s=1e9, clock=clock)
    store(inbox, *predictions(3))
    reports.add(3, "schedule", "<p>someone</p>")
    store(inbox, erasure("r1"))
    housekeeping.step()
    assert reports.latest() is None


def test_a_record_is_erased_once_whenever_that_is_said(inbox: Inbox) -> None:
    store(inbox, *predictions(1))
    assert store(inbox, Erasure("r0", "shop", START), Erasure("r0", "shop", LATER)) == (1, 1, 0)
    assert inbox.totals.erasures == 1


def test_an_erasure_voids_the_reports_made_until_then(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    store(inbox, *predictions(3), erasure("unknown"))
    assert inbox.reports_void_until == 0, "nothing about it can be in a report"
    store(inbox, erasure("r1"))
    store(inbox, *predictions(2, first=10))
    assert opened().reports_void_until == 3


def test_progress_without_an_event_is_kept_and_counted_with_the_events(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    events = enveloped(predictions(2), source="kafka:t:0", first_seq=5)
    inbox.store(events, Progress({"kafka:t:0": 9, "kafka:t:1": 0}, {"json": 2}))
    inbox.store([], Progress({"kafka:t:1": 3}, {"json": 1, "case": 1}))
    inbox = opened()
    assert inbox.positions() == {"kafka:t:0": 9, "kafka:t:1": 3}
    assert inbox.unreadable == {"json": 3, "case": 1}
    assert inbox.totals == InboxTotals(predictions=2)


def test_a_prediction_that_comes_after_its_erasure_is_counted_and_not_kept(inbox: Inbox) -> None:
    store(inbox, erasure("a"))
    assert store(inbox, prediction("a", RECORD), label("a")) == (2, 0, 0)
    assert inbox.totals.predictions == 1
    assert inbox.rows_from(1) == []
    assert labels_of(inbox) == []
    assert inbox.waiting_labels() == 0


def test_rows_come_back_as_they_were_stored(opened: Callable[[], Inbox]) -> None:
    stored = opened().store(enveloped(predictions(20)))
    assert opened().rows_from(1) == stored.rows
    assert [row.number for row in opened().rows_from(18)] == [18, 19, 20]


def test_trimming_forgets_records_no_window_needs_and_ids_only_when_they_are_old(inbox: Inbox, clock: Clock) -> None:
    store(inbox, *predictions(6))
    inbox.trim(first_row_needed=5, received_before=clock.now - 1, limit=100)
    assert [row.number for row in inbox.rows_from(1)] == [5, 6]
    assert store(inbox, *predictions(6)) == (0, 6, 0)
    clock.now += 100
    inbox.trim(first_row_needed=5, received_before=clock.now, limit=100)
    assert [row.number for row in inbox.rows_from(1)] == [5, 6], "what a window needs stays, however old"
    assert inbox._db.execute("SELECT count(*) FROM predictions").fetchone() == (2,)


def test_trimming_goes_in_small_steps(inbox: Inbox, clock: Clock) -> None:
    store(inbox, *predictions(10))
    inbox.trim(first_row_needed=100, received_before=clock.now + 1, limit=4)
    assert inbox._db.execute("SELECT min(number) FROM predictions").fetchone() == (5,)


def test_numbers_go_on_after_everything_was_trimmed(opened: Callable[[], Inbox], clock: Clock) -> None:
    inbox = opened()
    store(inbox, *predictions(3))
    inbox.trim(first_row_needed=100, received_before=clock.now + 1, limit=100)
    store(opened(), *predictions(1, first=50))
    assert [row.number for row in opened().rows_from(1)] == [4]


def test_a_check_is_kept_with_its_state_and_its_episodes(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    begun = Episode("column", "price", 50, 150, START)
    ended = Episode("column", "price", 50, 150, START, 400, LATER)
    for row, episodes in ((150, [begun]), (200, []), (250, []), (300, []), (400, [ended])):
        inbox.keep_check(KeptCheck(row, b"point %d" % row, b"standing %d" % row, episodes))
    inbox.keep_check(KeptCheck(450, None, b"standing 450", []))
    again = opened()
    assert again.state() == b"standing 450"
    assert again.points() == [b"point 250", b"point 300", b"point 400"]
    assert again.episodes(limit=10) == [ended]


def test_arrivals_are_counted_by_second(inbox: Inbox, clock: Clock) -> None:
    store(inbox, *predictions(2))
    clock.now += 1.5
    store(inbox, *predictions(3, first=10))
    assert inbox.arrivals_by_second(since=0) == {1_000_000: 2, 1_000_001: 3}


def test_an_inbox_of_another_case_is_refused(opened: Callable[[], Inbox], tmp_path: Path) -> None:
    opened()
    other = made_case().model_copy(update={"name": "other"})
    with pytest.raises(SettingsError, match="belongs to the case 'shop'"):
        Inbox(tmp_path / "inbox.sqlite", other)


def test_a_file_that_is_no_inbox_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"something else entirely, and long enough" * 100)
    with pytest.raises(SettingsError, match="can't be used"):
        Inbox(tmp_path / "inbox.sqlite", made_case())


def test_a_document_is_kept_apart_from_what_the_inbox_keeps_itself(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    inbox.keep_document("standing", b"first")
    inbox.keep_document("standing", b"second")
    assert (inbox.document("standing"), inbox.state(), inbox.document("other")) == (b"second", None, None)
    assert opened().document("standing") == b"second"


def test_segments_stay_with_the_prediction_when_its_record_is_gone(tmp_path: Path, clock: Clock) -> None:
    inbox = Inbox(tmp_path / "inbox.sqlite", made_case(segments=["payment"]), clock=clock)
    for number, payment in enumerate(["card", "barter", None, "cash"]):
        store(inbox, prediction(f"p{number}", {**RECORD, "payment": payment}), label(f"p{number}"))
    inbox.trim(first_row_needed=100, received_before=0, limit=100)
    assert inbox.rows_from(1) == []
    found = inbox.labelled_rows(MODEL, until_row=4, limit=10)
    assert found.segments == {"payment": ["cash", None, None, "card"]}, "nobody expects barter"
    store(inbox, erasure("p0"))
    assert inbox._db.execute("SELECT segments FROM predictions WHERE number = 1").fetchone() == (None,)
    inbox.close()


@pytest.mark.parametrize("seed", range(5))
def test_label_delays_are_counted_once_in_any_order_and_after_a_restart(opened: Callable[[], Inbox], seed: int) -> None:
    events: list[Event] = [prediction("a", RECORD), prediction("b", RECORD), label("b", "yes", START)]
    events += [label("a", "no", "2026-01-01T00:00:30Z"), label("a", "yes", "2026-01-01T02:00:00Z"), label("c")]
    random.Random(seed).shuffle(events)
    for event in events:
        store(opened(), event)
    store(opened(), *events)
    delays = opened().label_delays
    assert (delays.count, delays.sum_s) == (3, 7230.0)
    assert [count for _, count in delays.cumulative()][:7] == [1, 1, 2, 2, 2, 2, 3]


def test_labels_count_only_for_their_version_and_rows(inbox: Inbox) -> None:
    for number in range(6):
        model = MODEL if number < 4 else ModelRef("m", "2")
        store(inbox, prediction(f"p{number}", RECORD, model=model), *([label(f"p{number}")] if number % 2 else []))
    assert inbox.labelled_between(MODEL, 1, 6) == 2
    assert inbox.labelled_between(MODEL, 3, 4) == 1
    assert inbox.labelled_between(ModelRef("m", "3"), 1, 6) == 0


def test_an_inbox_of_the_format_before_is_brought_up_to_date(opened: Callable[[], Inbox], tmp_path: Path) -> None:
    store(opened(), *predictions(3), label("r1"))
    opened().keep_check(KeptCheck(2, None, b"standing", [Episode("column", "price", 50, 150, START)]))
    older = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
    for statement in (
        "ALTER TABLE predictions DROP COLUMN segments",
        "ALTER TABLE episodes DROP COLUMN cause",
        "DROP TABLE quality_windows",
        "DROP TABLE unstated_windows",
        "DROP TABLE shadows",
        "DELETE FROM kept WHERE name = 'quality_window_rows'",
        "PRAGMA user_version = 1",
    ):
        older.execute(statement)
    older.close()
    inbox = opened()
    assert labels_of(inbox) == ["yes"]
    assert inbox.episodes(limit=5)[0].cause == "window"
    assert store(inbox, *predictions(5)) == (2, 3, 0)
    assert inbox._db.execute("PRAGMA user_version").fetchone() == (FORMAT,)


@pytest.mark.parametrize("number", [FORMAT + 1, -1])
def test_an_inbox_of_an_unknown_format_is_refused(opened: Callable[[], Inbox], tmp_path: Path, number: int) -> None:
    opened().close()
    newer = sqlite3.connect(tmp_path / "inbox.sqlite")
    newer.execute(f"PRAGMA user_version = {number}")
    newer.close()
    with pytest.raises(SettingsError, match=f"has format {number}, this version reads format {FORMAT}"):
        Inbox(tmp_path / "inbox.sqlite", made_case())


def test_places_in_a_topic_that_was_made_anew_are_forgotten_and_no_others(opened: Callable[[], Inbox]) -> None:
    inbox = opened()
    kept = {"kafka:shop.predictions:0": 7, "kafka:shop.predictions:10": 9, "kafka:shop.predictions.old:0": 5}
    inbox.store([], Progress(positions=kept))
    for topic_id in ("first", "first"):
        forget_places_in_another_topic(inbox, "kafka:shop.predictions:", topic_id)
        assert inbox.positions() == kept
    inbox = opened()
    forget_places_in_another_topic(inbox, "kafka:shop.predictions:", "second")
    assert inbox.positions() == {"kafka:shop.predictions.old:0": 5}
    inbox.store([], Progress(positions={"kafka:shop.predictions:0": 2}))
    forget_places_in_another_topic(inbox, "kafka:shop.predictions:", "second")
    assert inbox.positions()["kafka:shop.predictions:0"] == 2
