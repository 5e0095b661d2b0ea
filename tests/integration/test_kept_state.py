"""A state folder of an earlier commit is restored: the same windows, verdicts, conditions and totals.

`tests/fixtures/kept_state` holds what that commit wrote, and what it answered itself after a restart. Here the services
of this commit are started on it, by the commands and settings that everybody has. Where kept bytes are only read, a
forgotten field shows in what is answered; what is written again must have the keys and tags that it had, or the next
restart, or an older version beside this one, would forget it.
"""

from __future__ import annotations

from typing import Any

import pytest
from kept_state import ask_everything, expected, key_paths, part_of, unpack

#: Of the rows of a table nothing is said where it depends on when the processes were stopped.
NOT_COUNTED = ("unstated_windows",)
#: Tables that grow once a second, or behind the answers: how far they came depends on when the processes were stopped.
COUNTED_AT_THE_END = ("rejections", "shadows", "totals", "positions")
#: Kinds of kept JSON that the restored services write again, if only because something new is kept beside it.
WRITTEN_AGAIN = (
    "standing",
    "alerts",
    "accepted references",
    "accepted profile",
    "history point",
    "figures of a quality window",
    "faults of rejections",
    "segments",
    "record",
    "runs",
    "registry fault",
    "shadow note",
    "journal: prediction",
    "journal: label",
    "journal: rejections",
    "journal: erasure",
)
#: Keys that are data, and what nobody is owed any more once they were told.
NO_KEYS_OF_OURS = (".counts.", ".owed_since")


@pytest.fixture(scope="module")
def wanted() -> dict[str, Any]:
    return expected()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Any]) -> dict[str, Any]:
    """Everything the restored services answered, and what stands in the files before and after."""
    folder = tmp_path_factory.mktemp("kept")
    unpack(folder)
    return ask_everything(folder, wanted)


def test_the_archive_is_what_the_answers_are_about(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found["rows"] == wanted["rows"]


@pytest.mark.parametrize(
    "document",
    ["state", "history", "alerts", "reference", "quality_windows", "shadow", "reports", "age", "occupation", "metrics"],
)
def test_monitoring_answers_as_before(found: dict[str, Any], wanted: dict[str, Any], document: str) -> None:
    before = wanted["monitoring"][document]
    assert part_of(found["monitoring"][document], before) == before


@pytest.mark.parametrize(
    "subject",
    ["degraded", "prediction", "repeated", "training", "dead letters", "notified", "after new rows"],
)
def test_what_lasts_is_as_before(found: dict[str, Any], wanted: dict[str, Any], subject: str) -> None:
    """A monitor whose last check failed, the other two services, who is told, and what new rows meet."""
    assert part_of(found[subject], wanted[subject]) == wanted[subject]


def test_no_row_is_lost_and_no_format_changed(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    before, after = wanted["rows after"], found["rows after"]
    assert part_of(_counted(after), _counted(before)) == _counted(before)
    assert [fewer for fewer in _fewer(wanted["rows"], after) if fewer[1] not in NOT_COUNTED] == []


def _counted(rows: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        path: {table: count for table, count in tables.items() if table not in (*NOT_COUNTED, *COUNTED_AT_THE_END)}
        for path, tables in rows.items()
    }


def _fewer(before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """File, table and both counts, of the tables that lost rows."""
    return [
        (path, table, count, after[path].get(table, 0))
        for path, tables in before.items()
        for table, count in tables.items()
        if after[path].get(table, 0) < count
    ]


@pytest.mark.parametrize("kind", WRITTEN_AGAIN)
def test_what_is_written_again_has_the_keys_it_had(found: dict[str, Any], kind: str) -> None:
    before, after = found["blobs"][kind], found["blobs after"][kind]
    new = [one for one in after if one not in before]
    assert new, "nothing was written again"
    missing = key_paths(before) - key_paths(new)
    assert not {path for path in missing if not any(part in path for part in NO_KEYS_OF_OURS)}


def test_pointers_are_left_alone(found: dict[str, Any]) -> None:
    for kind in ("current", "shadow"):
        assert found["blobs after"][kind] == found["blobs"][kind]


def test_alerts_keep_who_was_told_who_knows_and_who_is_silent(found: dict[str, Any]) -> None:
    (before,), (after,) = found["blobs"]["alerts"], found["blobs after"]["alerts"]
    assert after["silences"] == before["silences"]
    assert set(before["told_at"]) <= set(after["told_at"])
    told = [one for one in before["past"] if "owed_since" not in one]
    assert told
    assert [one for one in after["past"] if one in told] == told
    known = {one["id"]: one["acknowledged"] for one in before["present"] if "acknowledged" in one}
    assert known
    assert {one["id"]: one.get("acknowledged") for one in after["present"] if one["id"] in known} == known


def test_runs_keep_every_field(found: dict[str, Any]) -> None:
    """But for the one that was told again of its episode, and the one that was at work."""
    (before,), (after,) = found["blobs"]["runs"], found["blobs after"]["runs"]
    failed, refused, promoted, running = before["runs"]
    assert after["runs"][:2] == [failed, refused]
    assert after["runs"][2] == {**promoted, "told_at": after["runs"][2]["told_at"]}
    assert after["runs"][2]["told_at"] > promoted["told_at"]
    assert after["runs"][3].items() >= running.items()


def test_every_table_of_the_state_holds_something(wanted: dict[str, Any]) -> None:
    inbox = wanted["rows"]["var/census/monitoring/inbox.sqlite"]
    assert all(count for table, count in inbox.items() if table not in NOT_COUNTED)
