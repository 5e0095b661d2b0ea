"""MongoDB through the real driver: what it refuses, forgets and holds, logins, and the service that reads from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from monitoring_process import free_port
from monitoring_world import enveloped, label, prediction
from prediction_world import call, made_record, serving
from prediction_world import prediction as garden_prediction
from pydantic import SecretStr

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import Erasure, Event, FaultCount, Rejections, encode_json
from event_backbone.mongodb.access import MongoAccess, mongo_access
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.mongodb.documents import prediction_of
from event_backbone.mongodb.log import MongoLog, RescoredPredictions
from event_backbone.mongodb.sink import MongoSink
from event_backbone.ports import Delivered, Refusal
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.settings import ConnectionSettings
from prediction_service.delivery.cursors import RelayState, read_relay_state
from prediction_service.delivery.relay import Relay
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal

RECORD = {"price": 50.0, "items": 3, "payment": "card"}
START = "2026-01-01T00:00:00.000000Z"


def access_to(url: str, *, timeout_s: float = 5, **settings: Any) -> MongoAccess:
    return mongo_access(url, ConnectionSettings(**settings), timeout_s=timeout_s)


@pytest.fixture
def access(mongo_url: str, mongo_database: str) -> MongoAccess:
    return access_to(f"{mongo_url}/{mongo_database}")


@pytest.fixture
def sink(access: MongoAccess) -> Iterator[MongoSink]:
    with closing(MongoSink(access, "shop")) as made:
        yield made


@pytest.fixture
def stored(access: MongoAccess) -> Iterator[MongoConnection]:
    with closing(MongoConnection(access)) as made:
        yield made


def ids(stored: MongoConnection, kind: str) -> list[str]:
    return [document["_id"] for document in stored.find(f"shop.{kind}", {}, order=("_id",))]


def deliver(sink: MongoSink, *events: Event) -> Delivered:
    return sink.deliver(enveloped(events))


# Documents ------------------------------------------------------------------------------------------------------------


def test_a_document_is_the_event_with_an_id_and_the_time_of_storing(sink: MongoSink, stored: MongoConnection) -> None:
    made = prediction("r1", RECORD)
    deliver(sink, made)
    (document,) = stored.find("shop.predictions", {})
    age = datetime.now(UTC) - document.pop("stored_at")
    assert timedelta(0) <= age + timedelta(seconds=1) < timedelta(minutes=1)
    assert document.pop("_id") == "r1"
    assert document == msgspec.json.decode(encode_json(made))
    assert prediction_of(document) == made


def test_labels_and_rejections_lie_in_collections_of_their_own(sink: MongoSink, stored: MongoConnection) -> None:
    rejections = Rejections("door-1", "shop", START, START, 2, [FaultCount("price", "range", 2)])
    deliver(sink, label("r1", "yes"), label("r1", "no"), rejections)
    assert len(ids(stored, "labels")) == 2
    assert all(one.startswith("r1:") for one in ids(stored, "labels"))
    (document,) = stored.find("shop.rejections", {})
    assert (document["_id"], document["faults"]) == ("door-1", [{"column": "price", "reason": "range", "count": 2}])


def test_a_conflict_is_kept_beside_the_one_that_stands(sink: MongoSink, stored: MongoConnection) -> None:
    other = prediction("r1", {**RECORD, "price": 1.0})
    deliver(sink, prediction("r1", RECORD))
    assert deliver(sink, other).conflicts == 1
    (document,) = stored.find("shop.conflicts", {})
    assert document["_id"] == f"r1:{other.content_hash}"
    assert prediction_of(document) == other


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"items": 2**63}, "not_storable"),
        ({"items": -(2**70)}, "not_storable"),
        ({"a\x00b": 1}, "not_storable"),
        ({"payment": "\ud800"}, "not_storable"),
        ({"payment": "x" * (17 * 1024 * 1024)}, "too_large"),
        ({"payment": ["x" * (9 * 1024 * 1024)] * 6}, "too_large"),
    ],
    ids=["above-64-bit", "below-64-bit", "nul-in-a-key", "half-a-surrogate", "17-mb", "54-mb"],
)
def test_what_can_never_be_stored_is_refused_and_its_neighbours_are_kept(
    record: dict[str, Any], reason: str, sink: MongoSink, stored: MongoConnection
) -> None:
    good = [prediction(f"r{number}", RECORD) for number in range(6)]
    bad = msgspec.structs.replace(prediction("bad", RECORD), record=record, content_hash="0" * 32)
    batch = enveloped([*good[:2], bad, *good[2:5], bad, good[5]])
    assert list(sink.deliver(batch).refused) == [Refusal(3, reason), Refusal(7, reason)]
    assert ids(stored, "predictions") == [f"r{number}" for number in range(6)]
    assert list(sink.deliver(batch).refused) == [Refusal(3, reason), Refusal(7, reason)]


def test_names_with_dots_and_dollars_are_stored_as_they_are(sink: MongoSink, access: MongoAccess) -> None:
    made = prediction("r1", {"a.b": 1, "$set": 2, "c": {"$gt": ""}})
    assert list(deliver(sink, made).refused) == []
    with closing(MongoLog(access, "shop")) as log:
        assert log.prediction("r1") == made


class Answering(MongoConnection):
    """Answers an insert with write errors of some codes, by place."""

    def __init__(self, access: MongoAccess, codes: dict[int, int], concern: Sequence[Any] = ()) -> None:
        super().__init__(access)
        self.details = {
            "writeErrors": [{"index": index, "code": code} for index, code in codes.items()],
            "writeConcernErrors": list(concern),
        }


@pytest.mark.parametrize(
    ("code", "reason"), [(121, "validation"), (10334, "too_large"), (2, "not_storable"), (99999, "refused")]
)
def test_a_write_error_about_the_document_is_a_refusal_in_a_closed_word(
    code: int, reason: str, access: MongoAccess
) -> None:
    connection = Answering(access, {4: code, 1: 11000})
    assert [(one.index, one.reason) for one in connection._unwritten(connection.details)] == [
        (1, "duplicate"),
        (4, reason),
    ]


@pytest.mark.parametrize("code", [10107, 13435, 11602, 91, 189, 112, 50, 64, 14031, 13])
def test_a_write_error_about_the_server_is_try_again_later(code: int, access: MongoAccess) -> None:
    connection = Answering(access, {0: 121, 1: code})
    with pytest.raises(TryAgainLaterError):
        connection._unwritten(connection.details)


def test_a_write_that_no_majority_confirmed_is_try_again_later(access: MongoAccess) -> None:
    connection = Answering(access, {}, [{"code": 64, "errmsg": "waiting for replication timed out"}])
    with pytest.raises(TryAgainLaterError):
        connection._unwritten(connection.details)


# Erasure --------------------------------------------------------------------------------------------------------------


def test_an_erasure_takes_everything_about_the_record(
    sink: MongoSink, stored: MongoConnection, access: MongoAccess
) -> None:
    deliver(sink, prediction("r1", RECORD), prediction("r1", {**RECORD, "price": 1.0}), label("r1"))
    deliver(sink, prediction("r1:a", RECORD), label("r1:a"))
    with closing(RescoredPredictions(access, "shop")) as rescored:
        rescored.keep([prediction("r1", RECORD), prediction("r1:a", RECORD)])
    assert deliver(sink, Erasure("r1", "shop", START)).erased == {"r1"}
    assert (ids(stored, "predictions"), len(ids(stored, "labels"))) == (["r1:a"], 1)
    assert [ids(stored, kind) for kind in ("conflicts", "erasures")] == [[], ["r1"]]
    assert ids(stored, "rescored") == [{"record_id": "r1:a", "model_version": "1"}]


def test_what_comes_after_an_erasure_is_not_kept(sink: MongoSink, stored: MongoConnection, access: MongoAccess) -> None:
    deliver(sink, Erasure("r1", "shop", START))
    late = deliver(sink, prediction("r1", RECORD), label("r1"), prediction("r2", RECORD))
    assert (late.erased, dict(late.held), late.conflicts, list(late.refused)) == ({"r1"}, {}, 0, [])
    with closing(RescoredPredictions(access, "shop")) as rescored:
        rescored.keep([prediction("r1", RECORD)])
    assert [ids(stored, kind) for kind in ("predictions", "labels", "rescored")] == [["r2"], [], []]


def test_in_one_batch_an_erasure_wins_wherever_it_stands(sink: MongoSink, stored: MongoConnection) -> None:
    erasure, made = Erasure("r1", "shop", START), prediction("r1", RECORD)
    for batch in ([made, label("r1"), erasure], [erasure, made, label("r1")], [made, erasure, made]):
        assert deliver(sink, *batch).erased == {"r1"}
        assert [ids(stored, kind) for kind in ("predictions", "labels", "conflicts")] == [[], [], []]


def test_a_replica_that_is_behind_can_not_bring_an_erased_record_back(access: MongoAccess, tmp_path: Path) -> None:
    """One replica erases while the other has still to deliver what it answered."""
    with (
        closing(Journal(tmp_path / "a.sqlite", max_bytes=2**30)) as here,
        closing(Journal(tmp_path / "b.sqlite", max_bytes=2**30)) as behind,
    ):
        behind.append([entry_of(garden_prediction("r1")), entry_of(garden_prediction("r2", seed=2))])
        here.erase("r1", "garden")
        for journal in (here, behind):
            relay_all(journal, access, tmp_path)
    with closing(MongoLog(access, "garden")) as log:
        assert [one.prediction.record_id for one in log.predictions(limit=9)] == ["r2"]


def relay_all(journal: Journal, access: MongoAccess, folder: Path) -> Path:
    """Deliver everything; the file of how far it came."""
    path = folder / f"{journal.path.stem}-relay.sqlite"
    with (
        closing(JournalReader(journal.path)) as reader,
        closing(RelayState(path, ["mongodb"])) as state,
        closing(MongoSink(access, "garden")) as sink,
    ):
        relay = Relay(reader, state, sink, batch_rows=10)
        while relay.deliver_once():
            continue
    return path


def test_conflicts_between_replicas_are_counted_where_they_were_met(access: MongoAccess, tmp_path: Path) -> None:
    conflicts = []
    for number in range(2):
        with closing(Journal(tmp_path / f"{number}.sqlite", max_bytes=2**30)) as journal:
            journal.append(
                [entry_of(garden_prediction("r1", seed=number)), entry_of(garden_prediction("same", seed=9))]
            )
            states = read_relay_state(relay_all(journal, access, tmp_path))
            assert states is not None
            conflicts.append(states["mongodb"].conflicts)
    assert conflicts == [0, 1]


# Retention and indexes ------------------------------------------------------------------------------------------------


def indexes(stored: MongoConnection, kind: str) -> dict[str, int | None]:
    return {name: expires for name, expires in stored._indexes(f"shop.{kind}").items() if name != "_id_"}


def test_the_indexes_of_reading_are_made_and_none_that_forgets(sink: MongoSink, stored: MongoConnection) -> None:
    deliver(sink, prediction("r1", RECORD))
    assert indexes(stored, "predictions") == {"predicted_at_1__id_1": None}
    assert indexes(stored, "labels") == {"record_id_1_labelled_at_1": None}


def test_the_index_that_forgets_follows_the_setting(
    mongo_url: str, mongo_database: str, stored: MongoConnection
) -> None:
    for retention_s, expected in ((3600, 3600), (3600, 3600), (7200.5, 7201), (0, None), (1e12, 2**31 - 1)):
        access = access_to(f"{mongo_url}/{mongo_database}", mongo_retention_s=retention_s)
        with closing(MongoSink(access, "shop")) as sink:
            deliver(sink, prediction("r1", RECORD))
        for kind in ("predictions", "labels", "conflicts", "rescored"):
            assert indexes(stored, kind).get("stored_at_1") == expected
    assert indexes(stored, "erasures") == {}


def test_indexes_that_can_not_be_made_now_hold_up_one_delivery(access: MongoAccess) -> None:
    class SlowIndexes(MongoConnection):
        tries = 0

        def keep_indexes(self, *_: Any) -> None:
            self.tries += 1
            raise TryAgainLaterError("takes long")

    now = 100.0
    with closing(MongoSink(access, "shop", monotonic=lambda: now)) as sink:
        connection = sink._connection = SlowIndexes(access)
        with pytest.raises(TryAgainLaterError, match="takes long"):
            deliver(sink, prediction("r1", RECORD))
        assert list(deliver(sink, prediction("r1", RECORD)).refused) == []
        now += 61
        with pytest.raises(TryAgainLaterError, match="takes long"):
            deliver(sink, prediction("r2", RECORD))
        assert connection.tries == 2


# Other versions' predictions ------------------------------------------------------------------------------------------


def test_what_another_version_says_is_kept_once_and_the_log_is_not_touched(
    access: MongoAccess, sink: MongoSink, stored: MongoConnection
) -> None:
    made = prediction("r1", RECORD)
    other = prediction("r1", RECORD, model=type(made.model)(made.model.name, "2"), score=0.9)
    deliver(sink, made)
    with closing(RescoredPredictions(access, "shop")) as rescored:
        assert [rescored.keep([other, made]), rescored.keep([other]), rescored.keep([])] == [2, 0, 0]
    assert len(stored.find("shop.rescored", {})) == 2
    assert [prediction_of(document) for document in stored.find("shop.predictions", {})] == [made]


# Settings and secrets -------------------------------------------------------------------------------------------------

SECRET = "s3cret-pass"


def texts_of(error: BaseException) -> str:
    """Everything of it that a log could show."""
    return " ".join(map(repr, (error, error.__cause__, "" if error.__suppress_context__ else error.__context__)))


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://user:{SECRET}@",
        f"mongodb://user:{SECRET}@host:port/db",
        f"mongodb://us@er:{SECRET}@host",
        f"mongodb://user:{SECRET}@host/a.b",
        f"mongodb://user:{SECRET}@host/?w=nonsense&wtimeoutMS={SECRET}",
        f"mongodb://user:{SECRET}@host/bad name",
        "mongodb:///db",
    ],
)
def test_a_wrong_url_is_a_fault_of_the_settings_and_shows_no_login(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        mongo_access(url, ConnectionSettings(), timeout_s=1, place="SINKS[0]")
    assert "SINKS[0]" in str(raised.value)
    assert SECRET not in texts_of(raised.value)


def test_a_login_is_never_shown(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    urls = [f"mongodb://user:{SECRET}@127.0.0.1:{free_port()}/db", f"mongodb://127.0.0.1:{free_port()}"]
    login = {"mongo_username": "user", "mongo_password": SecretStr(SECRET)}
    for url, settings in zip(urls, ({}, login), strict=True):
        access = access_to(url, timeout_s=0.2, **settings)
        assert SECRET not in repr(access)
        with closing(MongoSink(access, "shop")) as sink, pytest.raises(TryAgainLaterError) as raised:
            deliver(sink, prediction("r1", RECORD))
        assert SECRET not in texts_of(raised.value)
        assert access.hosts in str(raised.value)
    assert SECRET not in caplog.text + capsys.readouterr().out


def test_settings_and_url_become_the_drivers_options(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    access = access_to(
        "mongodb://a:1,b:2/elsewhere?replicaSet=rs0",
        timeout_s=2.5,
        mongo_username="user",
        mongo_password=SECRET,
        mongo_auth_source="people",
        mongo_tls=True,
        mongo_tls_ca_file=ca_file,
    )
    assert (access.hosts, access.database) == ("a:1,b:2", "elsewhere")
    wanted = {"username": "user", "password": SECRET, "authSource": "people", "tls": True, "tlsCAFile": str(ca_file)}
    assert access.options.items() >= wanted.items()
    assert {access.options[f"{kind}TimeoutMS"] for kind in ("serverSelection", "connect", "socket")} == {2500}
    assert access_to("mongodb://a").database == "streamgauge"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"mongo_username": "user"}, "MONGO_USERNAME"),
        ({"mongo_tls": True, "mongo_tls_ca_file": "/nowhere.pem"}, "MONGO_TLS_CA_FILE"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], place: str) -> None:
    with pytest.raises(SettingsError, match=place):
        access_to("mongodb://a", **settings)


def test_a_server_that_wants_no_login_takes_one_that_is_wrong_as_try_again_later(mongo_url: str) -> None:
    access = access_to(mongo_url, mongo_username="user", mongo_password=SECRET)
    with closing(MongoSink(access, "shop")) as sink, pytest.raises(TryAgainLaterError) as raised:
        deliver(sink, prediction("r1", RECORD))
    assert SECRET not in texts_of(raised.value)


# The service that reads from it ---------------------------------------------------------------------------------------


def test_predictions_of_every_replica_are_read_from_mongodb(
    mongo_url: str, mongo_database: str, access: MongoAccess, tmp_path: Path
) -> None:
    with closing(MongoSink(access, "garden")) as sink:
        events = [
            garden_prediction(f"r{number}", seed=number, predicted_at=f"2026-03-01T00:00:0{number}.000000Z")
            for number in range(5)
        ]
        deliver(sink, *events)
    with serving(tmp_path, prediction_log=f"{mongo_url}/{mongo_database}") as service:
        assert call(service, "POST", "/predict", b'{"record_id":"here"}').status == 422
        one = call(service, "GET", "/predictions/r3").json()
        assert (one["record_id"], one["record"]) == ("r3", made_record(3))
        assert call(service, "GET", "/predictions/none").status == 404
        pages, cursor = [], "2026-03-01T00:00:01Z"
        while cursor:
            page = call(service, "GET", "/predictions", query=f"limit=3&since={cursor}").json()
            pages.append([prediction["record_id"] for prediction in page["predictions"]])
            cursor = page["next"]
        assert pages == [["r1", "r2", "r3"], ["r4"]]
        assert call(service, "GET", "/predictions", query="since=5").status == 422


def test_a_log_that_is_away_is_503_with_retry_after_and_predictions_go_on(tmp_path: Path) -> None:
    url = f"mongodb://127.0.0.1:{free_port()}"
    with serving(tmp_path, prediction_log=url, sink_timeout_s=0.2) as service:
        for path in ("/predictions/r1", "/predictions"):
            reply = call(service, "GET", path)
            assert reply.status == 503
            assert int(reply.headers["Retry-After"]) >= 1
        assert call(service, "GET", "/readyz").status == 200


def test_a_wrong_prediction_log_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PREDICTION_LOG"), serving(tmp_path, prediction_log="ftp://somewhere"):
        pass
