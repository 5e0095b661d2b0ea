"""Depth, width, size and encoding of requests: every route of every service, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from prediction_world import Reply, call, case_content, made_case, made_record
from three_services import PAGES, ROUTES, Route, document_of, three_services

from event_backbone.case.files import case_from_dict
from event_backbone.decoding.json_bounds import MOST_DEPTH, MOST_VALUES
from event_backbone.errors import (
    LONGEST_SHOWN,
    MOST_FAULTS_LISTED,
    MOST_UNKNOWN_LISTED,
    SettingsError,
    UnreadableMessageError,
)
from event_backbone.kafka.dead_letters import dead_letter_of
from event_backbone.kafka.wire import event_of
from event_backbone.ports import Partition, Received
from event_backbone.web.problems import CONTENT_TYPE
from prediction_service.worker.records import RecordReader, RejectedMessageError

BODIES = [route for route in ROUTES if route.kind]
JSON = [route for route in BODIES if route.kind != "form"]
#: An answer that lists faults; what the sender sent never makes it longer.
LONGEST_REFUSAL_BYTES = 20_000
UNKNOWN = 10_000
GARDEN = made_case()
CODINGS = ("gzip", "br", "deflate", "zstd", "gzip, identity", "x-anything")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with three_services(tmp_path_factory.mktemp("services")) as applications:
        yield applications


def send(services: dict[str, Any], route: Route, body: bytes = b"", **more: Any) -> Reply:
    return call(services[route.service], route.method, route.example, body, **more)


def problem_of(reply: Reply) -> Any:
    assert reply.headers["Content-Type"] == CONTENT_TYPE
    assert len(reply.body) < LONGEST_REFUSAL_BYTES
    return reply.json()


# The table ------------------------------------------------------------------------------------------------------------


def rules_of(services: dict[str, Any], name: str) -> set[tuple[str, str]]:
    """Method and path of every rule of the Flask application behind the guards."""
    inner = services[name].__self__._inner
    flask_app = getattr(getattr(inner, "_gateway", None), "_flask_app", inner)
    return {
        (method, re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule))
        for rule in flask_app.url_map.iter_rules()
        for method in (rule.methods or ()) - {"HEAD", "OPTIONS"}
    }


@pytest.mark.parametrize("name", ["prediction", "monitoring", "training"])
def test_every_route_is_in_the_table_of_these_tests_and_in_its_document(services: dict[str, Any], name: str) -> None:
    table = {(route.method, route.pattern) for route in ROUTES if route.service == name}
    assert rules_of(services, name) == table
    paths = document_of(services[name])["paths"]
    documented = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert documented == {route for route in table if route[1] not in PAGES}


@pytest.mark.parametrize("route", [route for route in JSON if route.kind == "json"], ids=str)
def test_the_document_says_how_each_body_may_be_refused(services: dict[str, Any], route: Route) -> None:
    responses = document_of(services[route.service])["paths"][route.pattern][route.method.lower()]["responses"]
    assert {"400", "413", "415", "422"} <= set(responses)
    assert f"larger than {route.most_bytes} bytes" in responses["413"]["description"]


# Depth ----------------------------------------------------------------------------------------------------------------

DEEP = {
    "arrays": b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
    "objects": b'{"a":' * (MOST_DEPTH + 1) + b"1" + b"}" * (MOST_DEPTH + 1),
    "unfinished": b'{"by": ' + b"[" * (MOST_DEPTH + 1),
    "in a field": b'{"record_id": "r1", "reason": ' + b"[" * MOST_DEPTH + b"]" * MOST_DEPTH + b"}",
    "behind strings with brackets": b'["]]]]", ' * (MOST_DEPTH + 1) + b"1" + b"]" * (MOST_DEPTH + 1),
}


@pytest.mark.parametrize("deep", DEEP)
@pytest.mark.parametrize("route", JSON, ids=str)
def test_deep_json_is_refused_by_every_route(services: dict[str, Any], route: Route, deep: str) -> None:
    reply = send(services, route, DEEP[deep])
    if route.pattern == "/events":
        assert reply.json()["refused"] == [{"index": 0, "reason": "malformed"}]
        return
    if reply.status == 200:  # a batch, one a line
        (result,) = reply.json()["results"]
    else:
        result = problem_of(reply)
    assert result["status"] == 400
    assert "is nested too deeply" in result["faults"][0]["message"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in JSON], ids=str)
def test_deep_json_where_none_is_expected_changes_nothing(services: dict[str, Any], route: Route) -> None:
    if route.pattern == "/admin/reload":  # it waits for a sidecar, whatever is sent
        return
    assert send(services, route, DEEP["arrays"]).status < 500


@pytest.mark.parametrize("route", [route for route in JSON if route.kind == "json"], ids=str)
def test_json_at_the_limit_of_depth_is_judged_by_its_content(services: dict[str, Any], route: Route) -> None:
    deepest = b'{"a": ' + b"[" * (MOST_DEPTH - 1) + b"]" * (MOST_DEPTH - 1) + b"}"
    assert "nested" not in str(problem_of(send(services, route, deepest)))


def test_a_line_that_is_nested_too_deeply_spoils_none_of_its_neighbours(services: dict[str, Any]) -> None:
    labels = b'{"record_id": "r1", "label": "yes"}\n' + DEEP["arrays"] + b'\n{"record_id": "r2", "label": "yes"}\n'
    taken = call(services["prediction"], "POST", "/labels", labels).json()
    assert (taken["accepted"], [one["index"] for one in taken["rejected"]]) == (2, [1])


# Width ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [route for route in JSON if route.pattern != "/events"], ids=str)
def test_unknown_fields_are_counted_and_only_the_first_are_named(services: dict[str, Any], route: Route) -> None:
    number = UNKNOWN if route.most_bytes > 100_000 else 700
    fields = {f"u{number:05}": 0 for number in range(number)}
    reply = send(services, route, msgspec.json.encode(fields))
    if route.pattern == "/alerts":  # Alertmanager may add fields
        assert reply.status == 422
        return
    result = reply.json()["results"][0] if reply.status == 200 else problem_of(reply)
    assert result["status"] == 422
    unknown = [fault for fault in result["faults"] if fault["reason"] == "unknown"]
    assert len(unknown) == MOST_UNKNOWN_LISTED + 1
    assert unknown[-1]["field"] == "(more)"
    assert unknown[-1]["message"].startswith(f"and {number - MOST_UNKNOWN_LISTED:,} more")
    if reply.status == 422:
        listed = len(result["faults"]) - 1
        assert f"has {listed + number - MOST_UNKNOWN_LISTED:,} faults" in result["detail"]


@pytest.mark.parametrize("route", [route for route in JSON if route.most_bytes > 2 * MOST_VALUES], ids=str)
def test_more_values_than_are_read_are_one_fault(services: dict[str, Any], route: Route) -> None:
    wide = b'{"a": [' + b"0," * MOST_VALUES + b"0]}"
    reply = send(services, route, wide)
    if route.pattern == "/events":
        assert reply.json()["refused"] == [{"index": 0, "reason": "malformed"}]
        return
    result = reply.json()["results"][0] if reply.status == 200 else problem_of(reply)
    assert result["status"] == 422
    assert result["faults"] == [
        {"field": "(body)", "reason": "length", "message": f"holds more than {MOST_VALUES:,} values"}
    ]


def test_a_batch_names_the_first_faults_of_all_its_records(services: dict[str, Any]) -> None:
    records = [{f"u{number}": 0 for number in range(40)}] * 1000
    reply = call(services["prediction"], "POST", "/predict/batch", msgspec.json.encode(records))
    results = reply.json()["results"]
    assert len(results) == 1000
    assert len(results[0]["faults"]) == 17
    assert results[-1] == {
        "status": 422,
        "faults": [{"field": "(more)", "reason": "invalid", "message": "and 46 more"}],
    }
    assert len(reply.body) < 250_000


def test_more_lines_than_monitoring_takes_at_once_are_413(services: dict[str, Any]) -> None:
    reply = call(services["monitoring"], "POST", "/events", b"x\n" * 20_001)
    assert "more than 20,000 lines" in problem_of(reply)["detail"]
    assert reply.status == 413


# Size and encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_length", [-1, None], ids=["with a length", "without a length"])
@pytest.mark.parametrize("route", BODIES, ids=str)
def test_a_body_above_the_limit_of_its_route_is_told_that_limit(
    services: dict[str, Any], route: Route, content_length: int | None
) -> None:
    kind = "application/x-www-form-urlencoded" if route.kind == "form" else "application/json"
    body = b"a=" + b"x" * route.most_bytes if route.kind == "form" else b" " * (route.most_bytes + 1)
    reply = send(services, route, body, content_length=content_length, content_type=kind)
    assert reply.status == 413
    told = re.search(r"larger than (\d+) bytes", problem_of(reply)["detail"])
    assert told
    assert int(told[1]) <= route.most_bytes
    assert route.kind == "form" or int(told[1]) == route.most_bytes


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET"], ids=str)
def test_an_encoded_body_is_told_what_is_taken(services: dict[str, Any], route: Route, coding: str) -> None:
    reply = send(services, route, b"{}", headers={"Content-Encoding": coding})
    assert (reply.status, reply.headers["Accept-Encoding"]) == (415, "identity")
    assert "identity" in problem_of(reply)["detail"]


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_a_body_as_it_is_is_taken(services: dict[str, Any], coding: str) -> None:
    reply = call(services["prediction"], "POST", "/predict", b"{}", headers={"Content-Encoding": coding})
    assert reply.status == 422


@pytest.mark.parametrize("route", JSON, ids=str)
def test_what_is_sent_counts_and_not_what_it_is_called(services: dict[str, Any], route: Route) -> None:
    """curl says that its data are a form, and many clients say nothing."""
    kinds = [
        "application/json",
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ]
    answers = [send(services, route, b'{"none": 1}', content_type=kind) for kind in kinds]
    assert {(answer.status, answer.body) for answer in answers} == {(answers[0].status, answers[0].body)}


# Beside HTTP ----------------------------------------------------------------------------------------------------------


def message(value: bytes) -> Received:
    return Received(Partition("garden.records", 0), 7, 0, b"r1", value)


def dead_letter(value: bytes) -> tuple[str, Any]:
    """Reason and faults of the dead letter that a worker makes of a message."""
    with pytest.raises(RejectedMessageError) as refused:
        RecordReader(GARDEN).read(message(value))
    error = refused.value
    letter = dead_letter_of(message(value), error.reason, error.faults, "2026-01-01T00:00:00Z", "worker", "dead")
    assert sum(len(content) for _, content in letter.headers) < LONGEST_REFUSAL_BYTES
    assert len(str(error)) < LONGEST_REFUSAL_BYTES  # what a log says
    return error.reason, msgspec.json.decode(dict(letter.headers)["dl_faults"])


@pytest.mark.parametrize("deep", DEEP)
def test_a_record_through_kafka_that_is_nested_too_deeply_is_a_dead_letter(deep: str) -> None:
    reason, faults = dead_letter(DEEP[deep])
    assert reason == "json"
    assert "is nested too deeply" in faults[0]["message"]


def test_a_dead_letter_counts_unknown_fields_and_names_the_first() -> None:
    fields = {f"u{number:05}": 0 for number in range(UNKNOWN)}
    reason, faults = dead_letter(msgspec.json.encode({**made_record(), **fields}))
    assert reason == "record"
    assert len(faults) == MOST_UNKNOWN_LISTED + 1
    assert faults[-1]["message"].startswith(f"and {UNKNOWN - MOST_UNKNOWN_LISTED:,} more")


@pytest.mark.parametrize("kind", ["predictions", "labels", "rejections"])
def test_an_event_through_kafka_that_is_nested_too_deeply_is_unreadable(kind: str) -> None:
    with pytest.raises(UnreadableMessageError) as unreadable:
        event_of(Received(Partition(f"garden.{kind}", 0), 7, 0, b"r1", DEEP["objects"]), GARDEN)
    assert unreadable.value.reason == "json"


def test_what_a_command_says_of_a_file_is_bounded() -> None:
    content = {**case_content(), **{f"u{number}": 0 for number in range(UNKNOWN)}, "x" * 100_000: 1}
    with pytest.raises(SettingsError) as wrong:
        case_from_dict(content, subject="made case")
    lines = str(wrong.value).splitlines()
    assert lines[0] == f"made case: {UNKNOWN + 1:,} faults"
    assert lines[-1] == f"  (more): and {UNKNOWN + 1 - MOST_FAULTS_LISTED:,} more"
    assert len(lines) == MOST_FAULTS_LISTED + 2
    assert len(str(wrong.value)) < LONGEST_REFUSAL_BYTES


def test_a_long_name_in_a_file_is_cut() -> None:
    with pytest.raises(SettingsError) as wrong:
        case_from_dict({**case_content(), "x" * 100_000: 1}, subject="made case")
    assert len(str(wrong.value)) < 2000


def test_a_value_that_a_library_quotes_makes_no_answer_longer(services: dict[str, Any]) -> None:
    alert = {"status": "x" * 300_000, "labels": {}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f"}
    body = msgspec.json.encode({"version": "4", "alerts": [alert]})
    reply = call(services["training"], "POST", "/alerts", body)
    (fault,) = problem_of(reply)["faults"]
    assert reply.status == 422
    assert fault["message"].startswith("Invalid enum value 'xxx")
    assert len(fault["message"]) == LONGEST_SHOWN
