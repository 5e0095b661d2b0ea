"""Bad input to a real server: every fault is named, nothing is stored, and both paths give the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from monitoring_process import poll_until
from prediction_process import Answer, PredictionProcess, running
from prediction_world import made_record

from event_backbone.decoding.json_bounds import MOST_DEPTH

MAX_BODY_BYTES = 20_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PredictionProcess]]:
    """The same service twice: with the fast path before Flask, and without."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running(tmp_path_factory.mktemp(name), LANE=fast_path, MAX_BODY_BYTES=str(MAX_BODY_BYTES))
            )
            for name, fast_path in (("fast-path", "true"), ("flask", "false"))
        }


def encoded(**changes: Any) -> bytes:
    record = {name: value for name, value in made_record(**changes).items() if value is not ...}
    return msgspec.json.encode(record)


def raw(field: str, text: str) -> bytes:
    """A good record but for one field, whose JSON is ``text``."""
    return encoded(**{field: "@"}).replace(b'"@"', text.encode())


@dataclass(frozen=True)
class Bad:
    """A body for ``/predict``, what it must be answered with, and the faults it has by field."""

    name: str
    body: bytes
    faults: dict[str, str]
    status: int = 422


BAD = [
    Bad("empty body", b"", {"(body)": "json"}, 400),
    Bad("blanks", b" \n", {"(body)": "json"}, 400),
    Bad("malformed JSON", b'{"leaves": 1,', {"(body)": "json"}, 400),
    Bad("two documents", encoded() * 2, {"(body)": "json"}, 400),
    Bad("no UTF-8", encoded().replace(b"leaves", b"le\xffves"), {"(body)": "json"}, 400),
    Bad("UTF-16", encoded().decode().encode("utf-16"), {"(body)": "json"}, 400),
    Bad("byte order mark", b"\xef\xbb\xbf" + encoded(), {"(body)": "json"}, 400),
    Bad("deep nesting", b"[" * (MOST_DEPTH + 1), {"(body)": "json"}, 400),
    Bad("array", b"[" + encoded() + b"]", {"(body)": "type"}),
    Bad("text", b'"leaves"', {"(body)": "type"}),
    Bad("null", b"null", {"(body)": "type"}),
    Bad("text for a number", encoded(leaves="12"), {"leaves": "type"}),
    Bad("number for a text", encoded(soil=12), {"soil": "type"}),
    Bad("truth for a number", encoded(leaves=True), {"leaves": "type"}),
    Bad("decimal for a whole number", encoded(leaves=12.0), {"leaves": "type"}),
    Bad("nested", encoded(soil={"is": ["clay"]}), {"soil": "type"}),
    Bad("null where none may be", encoded(height=None), {"height": "null"}),
    Bad("missing columns", encoded(leaves=..., soil=...), {"leaves": "missing", "soil": "missing"}),
    Bad("nothing at all", b"{}", dict.fromkeys(made_record(), "missing")),
    Bad("unknown columns", encoded(colour="red", Leaves=1), {"Leaves": "unknown", "colour": "unknown"}),
    Bad("out of range", encoded(leaves=5001, height=0.25), {"leaves": "range", "height": "range"}),
    Bad("too large for a float", raw("drift_south", "1" * 400), {"drift_south": "not_finite"}),
    Bad("NaN", raw("height", "NaN"), {"height": "not_finite"}),
    Bad("Infinity", raw("drift_south", "-Infinity"), {"drift_south": "not_finite"}),
    Bad("1e999", raw("drift_south", "1e999"), {"drift_south": "not_finite"}),
    Bad("empty text", encoded(soil=""), {"soil": "length"}),
    Bad("long text", encoded(soil="x" * 500), {"soil": "length"}),
    Bad("half a surrogate pair", raw("soil", r'"\ud800"'), {"soil": "format"}),
    Bad("record_id with a blank", encoded(record_id="a b"), {"record_id": "format"}),
    Bad("empty record_id", encoded(record_id=""), {"record_id": "format"}),
    Bad("long record_id", encoded(record_id="x" * 129), {"record_id": "format"}),
    Bad("record_id that is a number", encoded(record_id=5), {"record_id": "format"}),
    Bad("the target as a feature", encoded(flowers="yes"), {"flowers": "target"}),
    Bad("repeated, once wrong", b'{"leaves": "x", ' + encoded()[1:], {"leaves": "type"}),
    Bad(
        "many things at once",
        encoded(record_id="a b", leaves="x", plot=None, height=0, soil=..., neighbour=5, flowers="no", zzz=1),
        {
            "record_id": "format",
            "leaves": "type",
            "plot": "null",
            "height": "range",
            "soil": "missing",
            "neighbour": "type",
            "flowers": "target",
            "zzz": "unknown",
        },
    ),
]


def reasons(document: dict[str, Any]) -> dict[str, str]:
    return {fault["field"]: fault["reason"] for fault in document.get("faults", [])}


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"]
    return document


def both(paths: dict[str, PredictionProcess], *request: Any) -> Answer:
    """Send a request to both paths; they must answer alike."""
    by_fast_path, by_flask = paths["fast-path"].send(*request), paths["flask"].send(*request)
    assert (by_fast_path.status, by_fast_path.body) == (by_flask.status, by_flask.body)
    for name in ("content-type", "retry-after", "content-length"):
        assert by_fast_path.headers.get(name) == by_flask.headers.get(name)
    return by_fast_path


def stored(paths: dict[str, PredictionProcess]) -> list[int]:
    """Predictions and labels in each journal, which must agree with what can be listed."""
    counts = []
    for process in paths.values():
        journal = process.status()["journal"]
        assert journal["predictions"] == len(process.stored())
        counts.append(journal["predictions"] + journal["labels"])
    return counts


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_record_is_answered_with_every_fault_alike_on_both_paths(
    paths: dict[str, PredictionProcess], bad: Bad
) -> None:
    before = stored(paths)
    document = assert_problem(both(paths, "POST", "/predict", bad.body, JSON), bad.status)
    assert reasons(document) == bad.faults
    assert stored(paths) == before


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain; charset=utf-16", "\xff", ""])
def test_the_content_type_does_not_change_what_a_body_is(paths: dict[str, PredictionProcess], kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    document = assert_problem(both(paths, "POST", "/predict", encoded(leaves="x"), headers), 422)
    assert reasons(document) == {"leaves": "type"}
    assert_problem(both(paths, "POST", "/predict", b"leaves=1&soil=clay", headers), 400)


def chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/labels", "/"])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 20 * MAX_BODY_BYTES])
def test_a_body_over_the_limit_is_413_with_a_length_and_in_chunks(
    paths: dict[str, PredictionProcess], path: str, size: int
) -> None:
    before = stored(paths)
    line = encoded(record_id="chunked") + b"\n"
    body = (line * (size // len(line) + 1))[:size]
    assert_problem(both(paths, "POST", path, body, JSON), 413)
    for process in paths.values():
        assert_problem(process.send("POST", path, chunks(body), JSON), 413)
    assert stored(paths) == before


def test_a_chunked_bad_record_is_named_alike(paths: dict[str, PredictionProcess]) -> None:
    answers = [process.send("POST", "/predict", chunks(encoded(soil="x" * 3000)), JSON) for process in paths.values()]
    assert [reasons(assert_problem(answer, 422)) for answer in answers] == [{"soil": "length"}] * 2
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("DELETE", "/predict/batch", 405),
        ("POST", "/status", 405),
        ("POST", "/predict/", 404),
        ("POST", "/Predict", 404),
        ("GET", "/unheard-of", 404),
        ("GET", "/predictions/unheard-of", 404),
        ("GET", "/predictions/not%20an%20id", 422),
        ("DELETE", "/predictions/" + "x" * 129, 422),
        ("GET", "/predictions?limit=0", 422),
        ("GET", "/predictions?limit=" + "9" * 5000, 422),
        ("GET", "/predictions?since=yesterday", 422),
    ],
)
def test_wrong_methods_paths_and_parameters_are_problem_documents(
    paths: dict[str, PredictionProcess], method: str, path: str, status: int
) -> None:
    answer = both(paths, method, path, b"", {})
    assert_problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


def test_an_unusual_path_to_predict_is_no_way_around_validation(paths: dict[str, PredictionProcess]) -> None:
    for path in ("/predict?x=1", "/%70redict", "//predict", "/predict%00", "/predict;x"):
        answer = both(paths, "POST", path, encoded(leaves="x"), JSON)
        assert answer.status in (404, 422)


@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_batch_answers_the_good_ones_and_names_the_faults_of_the_others(
    paths: dict[str, PredictionProcess], form: str
) -> None:
    bad = [case for case in BAD if case.status == 422]
    first, last = encoded(record_id=f"{form}-1"), encoded(record_id=f"{form}-2")
    items = [first, *(case.body for case in bad), last]
    body = b"[" + b",".join(items) + b"]" if form == "array" else b"\n".join(items)
    for process in paths.values():
        answer = process.send("POST", "/predict/batch", body, JSON)
        assert answer.status == 200
        good, *refused, also_good = answer.json()["results"]
        assert [good["status"], also_good["status"]] == [200, 200]
        assert [(result["status"], reasons(result)) for result in refused] == [(422, case.faults) for case in bad]
        ids = [prediction["record_id"] for prediction in process.stored()]
        assert [record_id for record_id in ids if record_id.startswith(form)] == [f"{form}-1", f"{form}-2"]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 422, {"(body)": "missing"}),
        (b"{", 400, {"(body)": "json"}),
        (b"{}", 422, {"record_id": "missing", "label": "missing"}),
        (b'{"record_id": "a b", "label": "maybe"}', 422, {"record_id": "format", "label": "type"}),
        (b'{"record_id": "a", "label": NaN}', 422, {"label": "type"}),
        (
            b'{"record_id": "a", "label": "yes", "labelled_at": "0001-01-01T00:00:00+14:00", "why": 1}',
            422,
            {"labelled_at": "format", "why": "unknown"},
        ),
    ],
)
def test_a_bad_label_is_answered_with_every_fault(
    paths: dict[str, PredictionProcess], body: bytes, status: int, expected: dict[str, str]
) -> None:
    before = stored(paths)
    assert reasons(assert_problem(both(paths, "POST", "/labels", body, JSON), status)) == expected
    assert stored(paths) == before


def test_rejections_are_counted_by_column_and_reason_in_metrics_and_in_the_journal(
    paths: dict[str, PredictionProcess],
) -> None:
    for process in paths.values():
        counted = [("leaves", "type"), ("soil", "missing"), ("(unknown)", "target"), ("record_id", "format")]
        names = [{"column": column, "reason": reason} for column, reason in counted]
        before = [process.metric("prediction_rejected_faults_total", **labels) for labels in names]
        records = process.metric("prediction_rejected_records_total")
        journal = process.status()["journal"]["rejections"]
        process.send("POST", "/predict", encoded(leaves="x", soil=..., flowers="yes", record_id=""), JSON)
        after = [process.metric("prediction_rejected_faults_total", **labels) for labels in names]
        assert after == [count + 1 for count in before]
        assert process.metric("prediction_rejected_records_total") == records + 1
        exposition = process.send("GET", "/metrics").body.decode()
        assert "colour" not in exposition
        assert "Leaves" not in exposition
        poll_until(lambda process=process, least=journal: process.status()["journal"]["rejections"] > least, 10)
