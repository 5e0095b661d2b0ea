"""`prediction-service topics` and `dead-letters` against a broker, and the sidecar's share in dead letters."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from prediction_world import prediction, write_case

from event_backbone.errors import Fault
from event_backbone.events.cloud_events import header
from event_backbone.events.schema import Event, encode_json
from event_backbone.kafka.access import KafkaAccess, kafka_access
from event_backbone.kafka.admin import end_offsets
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.dead_letters import dead_letter_of
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message, Partition, Received, Refusal
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.settings import ConnectionSettings
from prediction_service import __main__ as command
from prediction_service.delivery.cursors import RelayState
from prediction_service.delivery.parked_rows import ParkedRows
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal

AT = "2026-01-01T00:00:00.000000Z"
SECRET = "nobody-may-read-this-in-a-list"


class World:
    """A case, its topics in a namespace of their own, and a journal with rows that a sink refused."""

    def __init__(self, folder: Path, url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.access: KafkaAccess = kafka_access(f"{url}/{namespace}", ConnectionSettings())
        self.topics = Topics(namespace, "garden")
        write_case(folder / "cases")
        monkeypatch.chdir(folder)
        for name, value in {"CASE": "garden", "SINKS": f"{url}/{namespace}", "STATE_DIR": str(folder / "var")}.items():
            monkeypatch.setenv(name, value)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(command.cli, arguments)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        shown = self.run("dead-letters", "list", "--json", *arguments)
        assert shown.exit_code == 0, shown.output
        return [msgspec.json.decode(line) for line in shown.stdout.splitlines()]

    def publish(self, *messages: Message) -> None:
        with contextlib.closing(KafkaPublisher(self.access)) as publisher:
            assert list(publisher.publish(messages)) == []

    def messages(self, topic: str) -> list[Received]:
        expected, found = sum(end_offsets(self.access, [topic]).values()), []
        with contextlib.closing(KafkaAssignedConsumer(self.access, [topic], lambda _: None)) as stream:
            while len(found) < expected:
                found += stream.poll(timeout_s=1, max_messages=1000)
        return found

    def letter(
        self, offset: int, *, reason: str = "record", first_seen: str = AT, key: bytes | None = b"r1"
    ) -> Message:
        value = encode_json({"leaves": SECRET})
        origin = Received(Partition(self.topics.records, 0), offset, 0, key, value, [("traceparent", b"00")])
        faults = [Fault("leaves", "type", "must be a number")]
        return dead_letter_of(origin, reason, faults, first_seen, "worker", self.topics.dead_letters)

    @property
    def slot(self) -> Path:
        return self.folder / "var" / "garden" / "journals" / "00"

    def park(self, *events: Event, sink: str = "kafka", reason: str = "case") -> str:
        """Rows that a sink refused; returns the journal's id."""
        self.slot.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Journal(self.slot / "journal.sqlite", max_bytes=2**30)) as journal:
            journal.append([entry_of(event) for event in events])
        refused = [(Refusal(seq, reason), encode_json(event)) for seq, event in enumerate(events, 1)]
        with contextlib.closing(RelayState(self.slot / "relay.sqlite", [sink])) as state:
            state.advance(sink, len(events), refused)
        with contextlib.closing(JournalReader(self.slot / "journal.sqlite")) as reader:
            return reader.journal_id


@pytest.fixture
def world(tmp_path: Path, kafka_url: str, kafka_namespace: str, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, kafka_url, kafka_namespace, monkeypatch)


@pytest.fixture
def topics_made(world: World) -> World:
    made = world.run("topics", "create", "--partitions", "2")
    assert made.exit_code == 0, made.output
    return world


# Topics ---------------------------------------------------------------------------------------------------------------


def test_topics_are_made_once_and_what_differs_is_said(world: World) -> None:
    assert world.run("topics", "list").exit_code == 1
    made = world.run("topics", "create", "--partitions", "2")
    assert made.stdout.splitlines() == [f"made  {name}" for name in world.topics.all]
    again = world.run("topics", "create", "--partitions", "2")
    assert again.stdout.splitlines() == [f"there {name}" for name in world.topics.all]
    assert again.stderr == ""
    other = world.run("topics", "create", "--partitions", "3", "--retention-s", "60")
    assert f"differs: {world.topics.records}: partitions is 2, not 3" in other.stderr
    assert f"differs: {world.topics.records}: retention.ms is 604800000, not 60000" in other.stderr
    listed = world.run("topics", "list", "--partitions", "2")
    assert listed.exit_code == 0
    assert f"there    {world.topics.predictions}  partitions 2, replication 1" in listed.stdout


def test_predictions_and_labels_are_compacted_so_that_an_erasure_takes_effect(topics_made: World) -> None:
    from event_backbone.kafka.admin import list_topics

    found = list_topics(topics_made.access, topics_made.topics.all)
    compacted = {name for name, spec in found.items() if "compact" in spec.configs.get("cleanup.policy", "")}
    assert compacted == {topics_made.topics.predictions, topics_made.topics.labels}
    assert found[topics_made.topics.labels].configs["min.compaction.lag.ms"] == "86400000"


def test_without_a_kafka_among_the_sinks_topics_says_what_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SINKS", "http://127.0.0.1:8085")
    monkeypatch.setattr("sys.argv", ["prediction-service", "topics", "list"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "SINKS: names no kafka://host:port" in capsys.readouterr().err


# Dead letters ---------------------------------------------------------------------------------------------------------


def test_each_dead_letter_is_listed_once_without_its_content(topics_made: World) -> None:
    world = topics_made
    world.publish(world.letter(1), world.letter(2, reason="json", first_seen="2026-02-01T00:00:00Z"), world.letter(1))
    assert world.rows() == [
        {
            "id": f"{world.topics.records}-0-1",
            "reason": "record",
            "origin": f"{world.topics.records} partition 0 offset 1",
            "first_seen": AT,
            "attempts": 2,
        },
        {
            "id": f"{world.topics.records}-0-2",
            "reason": "json",
            "origin": f"{world.topics.records} partition 0 offset 2",
            "first_seen": "2026-02-01T00:00:00Z",
            "attempts": 1,
        },
    ]
    for shown in (world.run("dead-letters", "list"), world.run("dead-letters", "list", "--json")):
        assert SECRET not in shown.output


def test_a_list_can_be_filtered(topics_made: World) -> None:
    world = topics_made
    world.publish(*(world.letter(number, first_seen=f"2026-0{number}-01T00:00:00Z") for number in range(1, 6)))
    world.publish(world.letter(6, reason="json", first_seen="2026-06-01T00:00:00Z"))
    assert len(world.rows("--reason", "record")) == 5
    assert [row["first_seen"][:7] for row in world.rows("--since", "2026-05-01T01:00:00+01:00")] == [
        "2026-05",
        "2026-06",
    ]
    assert [row["first_seen"][:7] for row in world.rows("--limit", "2")] == ["2026-01", "2026-02"]


def test_show_tells_the_faults_and_what_is_in_it(topics_made: World) -> None:
    world = topics_made
    world.publish(world.letter(1))
    shown = msgspec.json.decode(world.run("dead-letters", "show", f"{world.topics.records}-0-1").stdout)
    assert shown["faults"] == [{"field": "leaves", "reason": "type", "message": "must be a number"}]
    assert (shown["key"], shown["headers"]) == ("r1", {"traceparent": "00"})
    assert SECRET in shown["value"]


def test_replay_sends_a_record_back_and_what_fails_again_is_the_same_dead_letter(topics_made: World) -> None:
    world = topics_made
    world.publish(world.letter(1))
    for _ in range(2):
        assert world.run("dead-letters", "replay", f"{world.topics.records}-0-1").stdout == "1 sent back\n"
    replayed = world.messages(world.topics.records)
    assert {(one.key, one.value) for one in replayed} == {(b"r1", encode_json({"leaves": SECRET}))}
    assert header(replayed[0].headers, "traceparent") == b"00"
    topic, now = world.topics.dead_letters, "2027-01-01T00:00:00Z"
    world.publish(*(dead_letter_of(one, "record", [], now, "worker", topic) for one in replayed))
    assert [(row["attempts"], row["first_seen"]) for row in world.rows()] == [(3, AT)]


def test_all_of_a_reason_can_be_replayed(topics_made: World) -> None:
    world = topics_made
    world.publish(world.letter(1, key=b"a"), world.letter(2, key=b"b", reason="json"), world.letter(3, key=b"c"))
    assert world.run("dead-letters", "replay", "--all", "--reason", "record").stdout == "2 sent back\n"
    assert {one.key for one in world.messages(world.topics.records)} == {b"a", b"c"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["replay"], 2, "name some, or say --all"),
        (["replay", "x", "--all"], 2, "not both"),
        (["replay", "x"], 1, "x: is no dead letter of this case"),
        (["show", "x"], 1, "x: is no dead letter of this case"),
        (["list", "--since", "yesterday"], 2, "--since"),
    ],
)
def test_what_can_not_be_done_is_one_clear_line(
    arguments: list[str],
    code: int,
    message: str,
    topics_made: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["prediction-service", "dead-letters", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert message in capsys.readouterr().err


# Rows that a sink refused ---------------------------------------------------------------------------------------------


def test_rows_that_a_sink_refused_are_dead_letters_too(topics_made: World) -> None:
    world = topics_made
    journal = world.park(prediction("r1", case="another"))
    (row,) = world.rows()
    assert row["id"] == f"kafka-{journal}-1"
    assert (row["reason"], row["origin"]) == ("case", f"sink kafka, journal {journal} row 1")


def test_a_parked_row_is_published_once_and_listed_once(topics_made: World) -> None:
    world = topics_made
    world.park(prediction("r1"), prediction("r2"))
    with (
        contextlib.closing(ParkedRows(world.slot)) as rows,
        contextlib.closing(KafkaPublisher(world.access)) as publisher,
    ):
        assert rows.publish(publisher, world.topics.dead_letters, at_most=10) == 2
        assert rows.publish(publisher, world.topics.dead_letters, at_most=10) == 0
    assert [one.key for one in world.messages(world.topics.dead_letters)] == [b"r1", b"r2"]
    assert [row["attempts"] for row in world.rows()] == [1, 1]


def test_replay_gives_a_parked_row_to_its_sink_again_and_forgets_it_once_it_is_taken(topics_made: World) -> None:
    world = topics_made
    world.park(prediction("r1", case="another"), prediction("r2"))
    replayed = world.run("dead-letters", "replay", "--all")
    assert replayed.exit_code == 1
    assert "refused again: case" in str(replayed.exception)
    assert [one.key for one in world.messages(world.topics.predictions)] == [b"r2"]
    assert len(world.rows()) == 1


def test_a_row_of_a_sink_that_is_no_longer_there_stays(topics_made: World) -> None:
    world = topics_made
    world.park(prediction("r1"), sink="mongodb")
    replayed = world.run("dead-letters", "replay", "--all")
    assert "SINKS names no sink called mongodb" in str(replayed.exception)
    assert len(world.rows()) == 1


def test_a_table_is_shown_to_people(topics_made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from prediction_service.operations import dead_letters_command
    from prediction_service.operations.dead_letters import Filter

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    topics_made.publish(topics_made.letter(1))
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    dead_letters_command._show_table(dead_letters_command.DeadLetterOperations().find(Filter(), contents=False))
    assert "first_seen" in terminal.getvalue()
    assert f"{topics_made.topics.records}-0-1" in terminal.getvalue()
