"""Raw rows in MongoDB: pushed, read back in their order, and refused where they are not whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from training_world import made_case, made_rows

from event_backbone.errors import SettingsError
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.settings import ConnectionSettings
from training.data.raw import raw_of_rows
from training.data.reading import read_raw
from training.data.row_collection import MongoRows

CASE = made_case()
TRAIN, TEST = made_rows(2500), made_rows(30, first=5000, seed=2)


@pytest.fixture
def connection(mongo_url: str, mongo_database: str) -> Iterator[MongoConnection]:
    access = mongo_access(f"{mongo_url}/{mongo_database}", ConnectionSettings(), timeout_s=10)
    with closing(MongoConnection(access)) as made:
        yield made


def test_rows_come_back_as_they_were_and_in_their_order(connection: MongoConnection) -> None:
    MongoRows(connection, CASE).push(TRAIN, TEST)
    read = MongoRows(connection, CASE).read()
    assert (read.train, read.test) == (TRAIN, TEST)
    assert {type(record["weight"]) for record in read.train.records} == {int}
    assert "2,530 rows of the collection fruit.raw" in read.source.sentence
    checked = read_raw(CASE, raw_of_rows(read.source, read.train, read.test))
    assert checked.train == TRAIN


def test_a_push_replaces_what_was_there(connection: MongoConnection) -> None:
    rows = MongoRows(connection, CASE)
    rows.push(TRAIN, TEST)
    before = rows.read().source.digests
    rows.push(TEST, TRAIN)
    after = rows.read()
    assert (after.train, after.test) == (TEST, TRAIN)
    assert after.source.digests != before


def test_the_same_rows_have_the_same_digest(connection: MongoConnection) -> None:
    rows = MongoRows(connection, CASE)
    rows.push(TRAIN, TEST)
    before = rows.read().source
    rows.push(TRAIN, TEST)
    assert rows.read().source == before


@pytest.mark.parametrize("lost", ["head", "train-00001000", "test-00000029"])
def test_rows_that_are_not_whole_are_refused(connection: MongoConnection, lost: str) -> None:
    rows = MongoRows(connection, CASE)
    rows.push(TRAIN, TEST)
    connection.delete("fruit.raw", {"_id": lost})
    with pytest.raises(SettingsError, match="train-model push"):
        rows.read()


def test_a_collection_that_nobody_filled_is_refused(connection: MongoConnection) -> None:
    with pytest.raises(SettingsError, match="no complete set"):
        MongoRows(connection, CASE).read()
