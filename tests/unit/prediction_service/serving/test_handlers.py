"""The handlers behind every route: records and labels in, answers out, everything answered kept first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prediction_world import BUNDLE_SHA256, MODEL, FakeScorer, Service, made_record, numeric_case

from event_backbone.case.records import Record
from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.events.schema import Label, ModelRef, Prediction, content_hash, encode_json, parse_utc
from prediction_service.inference.predictor import NoModelError
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import JournalUnavailableError
from prediction_service.serving.handlers import Reply


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.journal.close()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def kept(service: Service) -> list[Any]:
    """Every event in the journal, in order."""
    with closing(JournalReader(service.journal.path)) as reader:
        return [row.event for row in reader.after(0, limit=1000)]


def read(reply: Reply) -> tuple[int, Any]:
    return reply[0], json.loads(reply[1])


def predict(service: Service, **changes: Any) -> tuple[int, Any]:
    return read(service.handlers.predict(as_json(made_record(**changes))))


def reasons(problem: dict[str, Any]) -> dict[str, str]:
    return {fault["field"]: fault["reason"] for fault in problem["faults"]}


# One record -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_what_the_journal_holds(service: Service) -> None:
    status, answer = predict(service, record_id="r1", leaves=80)
    (stored,) = kept(service)
    assert status == 200
    assert isinstance(stored, Prediction)
    assert answer == {
        "record_id": "r1",
        "prediction": "yes",
        "score": 0.8,
        "model": {"name": MODEL.name, "version": MODEL.version},
        "case": "garden",
        "predicted_at": stored.predicted_at,
    }
    assert (stored.record, stored.score, stored.prediction) == (made_record(leaves=80), 0.8, "yes")
    assert (stored.bundle_sha256, stored.case_sha256) == (BUNDLE_SHA256, service.case.sha256)
    assert stored.content_hash == content_hash(made_record(leaves=80))
    assert parse_utc(stored.predicted_at)


def test_without_an_id_each_record_gets_one_of_its_own(service: Service) -> None:
    first, second = predict(service)[1], predict(service)[1]
    assert first["record_id"] != second["record_id"]
    assert len(kept(service)) == 2


def test_the_same_id_and_content_gets_the_stored_answer_whatever_the_model_is_now(service: Service) -> None:
    status, first = predict(service, record_id="r1")
    service.scorer = FakeScorer(model=ModelRef(MODEL.name, "8"))
    assert predict(service, record_id="r1") == (status, first)
    assert len(kept(service)) == 1
    assert (service.value("prediction_answered_total"), service.value("prediction_repeated_total")) == (1, 1)


def test_the_order_of_the_fields_makes_no_other_content(service: Service) -> None:
    record = {"record_id": "r1", **made_record()}
    answers = [service.handlers.predict(as_json(dict(sorted(record.items(), reverse=flip)))) for flip in (True, False)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing(service: Service) -> None:
    predict(service, record_id="r1", leaves=1)
    before = kept(service)
    status, problem = predict(service, record_id="r1", leaves=2)
    assert (status, problem["title"]) == (409, "Conflict")
    assert "'r1'" in problem["detail"]
    assert kept(service) == before
    assert service.value("prediction_conflicts_total") == 1


def test_a_wrong_record_is_answered_with_every_fault_and_nothing_is_kept(service: Service) -> None:
    status, problem = predict(service, leaves="many", height=0, extra=1, flowers="yes")
    assert status == 422
    assert reasons(problem) == {"leaves": "type", "height": "range", "extra": "unknown", "flowers": "target"}
    assert problem["detail"] == "The record has 4 faults; nothing was stored."
    assert kept(service) == []


class Unsure(FakeScorer):
    """Gives no number for records without leaves."""

    def score(self, records: Sequence[Record]) -> list[float]:
        return [score if score > 0.01 else math.nan for score in super().score(records)]


def test_a_record_that_the_model_gives_no_number_for_is_refused_and_spoils_no_neighbour(service: Service) -> None:
    service.scorer = Unsure()
    status, problem = predict(service, record_id="r1", leaves=0)
    assert (status, reasons(problem)) == (422, {"(body)": "not_finite"})
    batch = [made_record(record_id=f"r{leaves}", leaves=leaves) for leaves in (0, 50, 0, 60)]
    results = read(service.handlers.predict_batch(as_json(batch)))[1]["results"]
    assert [result["status"] for result in results] == [422, 200, 422, 200]
    assert [event.record_id for event in kept(service)] == ["r50", "r60"]
    assert service.value("prediction_rejected_faults_total", column="(body)", reason="not_finite") == 3


@pytest.mark.parametrize("record_id", [".", ".."])
def test_an_id_that_no_url_can_carry_is_refused(service: Service, record_id: str) -> None:
    status, problem = predict(service, record_id=record_id)
    assert (status, reasons(problem)) == (422, {"record_id": "format"})
    assert problem["faults"][0]["message"].endswith("and not . or .. alone")
    status, problem = read(service.handlers.take_labels(as_json({"record_id": record_id, "label": "yes"})))
    assert (status, reasons(problem)) == (422, {"record_id": "format"})
    assert predict(service, record_id=f".{record_id}.")[0] == 200


def test_what_is_no_json_is_400_and_what_is_wrong_json_422(service: Service) -> None:
    assert [service.handlers.predict(body)[0] for body in (b"", b"{", b"\xff", b"[]", b"null", b"{}")] == [
        *(400, 400, 400),
        *(422, 422, 422),
    ]


def test_without_a_model_nothing_is_answered_and_nothing_kept(service: Service) -> None:
    service.scorer = None
    with pytest.raises(NoModelError) as later:
        predict(service)
    assert later.value.retry_after_s >= 1
    assert kept(service) == []


def test_what_can_not_be_kept_is_not_answered(tmp_path: Path) -> None:
    service = Service(tmp_path, max_bytes=1)
    with pytest.raises(JournalUnavailableError):
        predict(service)
    assert service.value("prediction_answered_total") == 0


def test_an_erased_id_is_a_conflict_whatever_comes_under_it(service: Service) -> None:
    predict(service, record_id="r1", leaves=1)
    service.journal.erase("r1", "garden")
    for leaves in (1, 2):
        status, answer = predict(service, record_id="r1", leaves=leaves)
        assert (status, "erased" in answer["detail"]) == (409, True)


# Batches --------------------------------------------------------------------------------------------------------------

BAD = made_record(leaves="many")


def results(reply: Reply) -> list[dict[str, Any]]:
    assert reply[0] == 200
    return json.loads(reply[1])["results"]


def array(*records: Any) -> bytes:
    return as_json(records)


def lines(*records: Any) -> bytes:
    return b"\n".join(as_json(record) for record in records)


@pytest.mark.parametrize("form", [array, lines])
def test_a_batch_is_answered_in_order_and_bad_records_fail_alone(service: Service, form: Any) -> None:
    batch = [made_record(record_id="a"), BAD, made_record(record_id="b", leaves=7), "text", {}]
    answered = results(service.handlers.predict_batch(form(*batch)))
    assert [result["status"] for result in answered] == [200, 422, 200, 422, 422]
    assert [answered[index]["answer"]["record_id"] for index in (0, 2)] == ["a", "b"]
    assert reasons(answered[1]) == {"leaves": "type"}
    assert reasons(answered[3]) == {"(body)": "type"}
    assert [event.record_id for event in kept(service)] == ["a", "b"]
    assert service.value("prediction_rejected_records_total") == 3


def test_a_batch_holds_what_each_record_alone_is_answered_byte_by_byte(service: Service) -> None:
    one, other = (as_json(made_record(seed, record_id=f"r{seed}")) for seed in (1, 2))
    (_, first), (_, second) = service.handlers.predict(one), service.handlers.predict(other)
    changed = as_json(made_record(3, record_id="r1"))
    status, conflict = service.handlers.predict(changed)
    detail = encode_json(json.loads(conflict)["detail"])
    code, wrong = service.handlers.predict(as_json(BAD))
    faults = encode_json(json.loads(wrong)["faults"])
    answered = service.handlers.predict_batch(b"\n".join([one, as_json(BAD), changed, other]))
    assert answered == (
        200,
        b'{"results":[{"status":200,"answer":%b},{"status":%d,"faults":%b},{"status":%d,"detail":%b},'
        b'{"status":200,"answer":%b}]}' % (first, code, faults, status, detail, second),
    )


def test_a_batch_is_scored_in_one_run(service: Service) -> None:
    service.handlers.predict_batch(array(*(made_record(seed) for seed in range(5)), BAD))
    assert service.scorer.groups == [5]


def test_an_id_that_stands_twice_in_a_batch_is_answered_alike_or_is_a_conflict(service: Service) -> None:
    same, other = made_record(record_id="a", leaves=1), made_record(record_id="a", leaves=2)
    first, again, conflict = results(service.handlers.predict_batch(array(same, same, other)))
    assert first == again
    assert (conflict["status"], "answer" in conflict) == (409, False)
    assert "'a'" in conflict["detail"]
    assert len(kept(service)) == 1


@pytest.mark.parametrize(
    "spoiled",
    [
        b'{"leaves": NaN}',
        b'{"leaves": -Infinity}',
        b'{"leaves": ' + b"1" * 5000 + b"}",
        b'{"leaves": 1e999}',
        rb'{"soil": "\ud800"}',
        b"[[[]]]",
    ],
)
@pytest.mark.parametrize("joint", [b",", b"\n"])
def test_an_element_only_a_lenient_reader_takes_spoils_only_itself(
    service: Service, spoiled: bytes, joint: bytes
) -> None:
    good = as_json(made_record(record_id="a"))
    body = joint.join([good, spoiled, good])
    answered = results(service.handlers.predict_batch(b"[" + body + b"]" if joint == b"," else body))
    assert [result["status"] for result in answered] == [200, 422, 200]


def test_a_line_that_is_no_json_spoils_only_itself(service: Service) -> None:
    good = as_json(made_record())
    answered = results(service.handlers.predict_batch(b"\r\n".join([good, b"{", b"", b"\xff", good])))
    assert [result["status"] for result in answered] == [200, 400, 400, 200]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 422, "missing"),
        (b" \n ", 422, "missing"),
        (b"[]", 422, "missing"),
        (b"[{}", 400, "json"),
        (b"[" * (MOST_DEPTH + 1), 400, "json"),
        (b'["\xff"', 400, "json"),
        (array(*[{}] * 11), 422, "length"),
        (lines(*[{}] * 11), 422, "length"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused_and_counted(
    service: Service, body: bytes, status: int, reason: str
) -> None:
    answered, problem = read(service.handlers.predict_batch(body))
    assert (answered, reasons(problem)) == (status, {"(body)": reason})
    assert kept(service) == []
    assert service.value("prediction_rejected_faults_total", column="(body)", reason=reason) == 1


def test_a_batch_of_bad_records_needs_no_model(service: Service) -> None:
    service.scorer = None
    assert [result["status"] for result in results(service.handlers.predict_batch(array(BAD, BAD)))] == [422, 422]


def test_a_batch_that_can_not_be_kept_is_kept_not_even_in_part(tmp_path: Path) -> None:
    service = Service(tmp_path, max_bytes=1)
    with pytest.raises(JournalUnavailableError):
        service.handlers.predict_batch(array(made_record(), made_record()))
    assert kept(service) == []


# Labels ---------------------------------------------------------------------------------------------------------------


def label(record_id: Any = "r1", value: Any = "yes", **more: Any) -> dict[str, Any]:
    return {"record_id": record_id, "label": value, **more}


@pytest.mark.parametrize("form", [lambda *labels: as_json(labels[0]), array, lines])
def test_labels_come_alone_in_an_array_or_one_a_line(service: Service, form: Any) -> None:
    status, answer = read(service.handlers.take_labels(form(label(labelled_at="2026-01-01T01:00:00+01:00"))))
    assert (status, answer) == (202, {"accepted": 1, "rejected": []})
    assert kept(service) == [Label("r1", "garden", "yes", "2026-01-01T00:00:00.000000Z")]


def test_a_label_without_a_time_is_from_now(service: Service) -> None:
    service.handlers.take_labels(as_json(label(labelled_at=None)))
    assert parse_utc(kept(service)[0].labelled_at).year >= 2026


def test_good_labels_are_kept_beside_bad_neighbours(service: Service) -> None:
    body = lines(label("a"), label("b", "maybe"), label("not an id"), label("c"))
    status, answer = read(service.handlers.take_labels(body + b"\n{"))
    assert (status, answer["accepted"]) == (202, 2)
    assert [(entry["index"], *reasons(entry)) for entry in answer["rejected"]] == [
        (1, "label"),
        (2, "record_id"),
        (4, "(body)"),
    ]
    assert [event.record_id for event in kept(service)] == ["a", "c"]
    assert service.value("prediction_labels_total") == 2


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, {"record_id": "missing", "label": "missing"}),
        (label(None), {"record_id": "missing"}),
        (label(5), {"record_id": "format"}),
        (label(value=None), {"label": "type"}),
        (label(value=True), {"label": "type"}),
        (label(value="maybe", extra=1), {"label": "type", "extra": "unknown"}),
        (label(labelled_at="yesterday"), {"labelled_at": "format"}),
        (label(labelled_at="2026-01-01T00:00:00"), {"labelled_at": "format"}),
        (label(labelled_at="0001-01-01T00:00:00+14:00"), {"labelled_at": "format"}),
        (label(labelled_at=5), {"labelled_at": "format"}),
        ("text", {"(body)": "type"}),
    ],
)
def test_a_wrong_label_is_answered_with_every_fault(
    service: Service, payload: object, expected: dict[str, str]
) -> None:
    status, problem = read(service.handlers.take_labels(as_json(payload)))
    assert (status, reasons(problem)) == (422, expected)
    assert kept(service) == []


@pytest.mark.parametrize(("body", "status"), [(b"", 422), (b"{", 400), (b"\xff", 400), (b"[{}", 400)])
def test_labels_that_are_no_json_are_refused(service: Service, body: bytes, status: int) -> None:
    assert service.handlers.take_labels(body)[0] == status


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1" * 400, '"5"', "true", "null"])
def test_a_numeric_label_is_a_finite_number(tmp_path: Path, value: str) -> None:
    service = Service(tmp_path, case=numeric_case())
    body = f'{{"record_id": "r1", "label": {value}}}'.encode()
    status, problem = read(service.handlers.take_labels(body))
    assert (status, reasons(problem)) == (422, {"label": "type"})


def test_a_whole_number_and_its_decimal_form_are_one_label(tmp_path: Path) -> None:
    service = Service(tmp_path, case=numeric_case())
    at = "2026-01-01T00:00:00Z"
    service.handlers.take_labels(lines(label(value=5, labelled_at=at), label(value=5.0, labelled_at=at)))
    assert [event.label for event in kept(service)] == [5.0]


def test_a_label_for_a_record_nobody_knows_is_kept(service: Service) -> None:
    assert service.handlers.take_labels(as_json(label("unheard-of")))[0] == 202
    assert len(kept(service)) == 1
