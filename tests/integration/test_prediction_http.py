"""The HTTP contract of a real server: with the fast path, without it, and with every commit synced to the disk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from monitoring_process import poll_until
from prediction_process import PredictionProcess, running
from prediction_world import made_class, made_record, made_score

from prediction_service.delivery.cursors import RelayState

SETTINGS = {
    "fast-path": {"LANE": "true"},
    "flask": {"LANE": "false"},
    "power": {"DURABILITY": "power"},
}


@pytest.fixture(scope="module", params=SETTINGS.values(), ids=SETTINGS.keys())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    with running(tmp_path_factory.mktemp("server"), **request.param) as process:
        yield process


def send_lines(server: PredictionProcess, path: str, items: list[Any]) -> Any:
    body = b"\n".join(msgspec.json.encode(item) for item in items)
    return server.send("POST", path, body, {"Content-Type": "application/x-ndjson"})


# Predictions ----------------------------------------------------------------------------------------------------------


def test_an_answer_is_what_is_stored(server: PredictionProcess) -> None:
    record = made_record(leaves=80)
    answer = server.predict({"record_id": "a:1", **record})
    stored = server.send("GET", "/predictions/a%3A1").json()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {name: stored[name] for name in answer.json()}
    assert stored["record"] == record
    assert answer.json()["score"] == pytest.approx(made_score(record), abs=1e-6)
    assert answer.json()["prediction"] == made_class(made_score(record))


def test_the_same_record_again_gets_the_same_bytes_and_is_stored_once(server: PredictionProcess) -> None:
    record = {"record_id": "again", **made_record(1)}
    answers = [server.predict(record) for _ in range(3)]
    answers.append(server.predict(dict(reversed(record.items()))))
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert sum(stored["record_id"] == "again" for stored in server.stored()) == 1


def test_the_same_id_with_another_record_is_409_and_changes_nothing(server: PredictionProcess) -> None:
    server.predict({"record_id": "taken", **made_record(1)})
    before = server.send("GET", "/predictions/taken").body
    refused = server.predict({"record_id": "taken", **made_record(2)})
    assert (refused.status, refused.headers["content-type"]) == (409, "application/problem+json")
    assert server.send("GET", "/predictions/taken").body == before


def test_many_at_once_with_one_id_store_it_once_and_hear_the_same(server: PredictionProcess) -> None:
    record = {"record_id": "crowd", **made_record(3)}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.predict, [record] * 24))
    assert {answer.status for answer in answers} <= {200, 503}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert sum(stored["record_id"] == "crowd" for stored in server.stored()) == 1


def test_a_batch_as_lines_or_as_an_array_gets_the_same_answers(server: PredictionProcess) -> None:
    items: list[Any] = [{"record_id": f"batch-{number}", **made_record(number)} for number in range(200)]
    items[3], items[7] = {}, "text"
    by_lines = send_lines(server, "/predict/batch", items)
    by_array = server.send_json("POST", "/predict/batch", items)
    assert (by_lines.status, by_lines.body) == (200, by_array.body)
    results = by_lines.json()["results"]
    assert [index for index, result in enumerate(results) if result["status"] != 200] == [3, 7]
    assert results[10]["answer"]["record_id"] == "batch-10"
    assert results[10]["answer"]["score"] == pytest.approx(made_score(items[10]), abs=1e-6)


def test_more_records_than_a_batch_may_hold_are_refused_whole(server: PredictionProcess) -> None:
    answer = send_lines(server, "/predict/batch", [{}] * 1001)
    assert (answer.status, answer.json()["faults"][0]["reason"]) == (422, "length")


# Labels ---------------------------------------------------------------------------------------------------------------


def test_labels_come_before_after_or_without_their_prediction(server: PredictionProcess) -> None:
    before = server.status()["journal"]["labels"]
    labels = [{"record_id": f"label-{number}", "label": "yes"} for number in range(3)]
    assert server.send_json("POST", "/labels", labels[0]).json() == {"accepted": 1, "rejected": []}
    server.predict({"record_id": "label-1", **made_record()})
    assert send_lines(server, "/labels", labels[1:]).status == 202
    assert server.status()["journal"]["labels"] == before + 3


def test_good_labels_are_taken_beside_bad_ones(server: PredictionProcess) -> None:
    answer = server.send_json("POST", "/labels", [{"record_id": "l1", "label": "no"}, {"record_id": "l2", "label": 1}])
    assert (answer.status, answer.json()["accepted"]) == (202, 1)
    assert answer.json()["rejected"] == [
        {"index": 1, "faults": [{"field": "label", "reason": "type", "message": "must be 'yes' or 'no'"}]}
    ]


# Reading and erasing --------------------------------------------------------------------------------------------------


def test_predictions_are_read_page_by_page_in_order(server: PredictionProcess) -> None:
    for number in range(7):
        server.predict({"record_id": f"page-{number}", **made_record(number)})
    pages, cursor = [], ""
    while cursor is not None:
        page = server.send("GET", f"/predictions?limit=3&since={cursor}").json()
        pages.append(page["predictions"])
        cursor = page["next"]
    listed = [prediction for page in pages for prediction in page]
    assert {len(page) for page in pages[:-1]} == {3}
    named = [prediction["record_id"] for prediction in listed]
    assert len(named) == len(set(named))
    assert [name for name in named if name.startswith("page-")] == [f"page-{number}" for number in range(7)]


def test_predictions_are_read_from_a_time_on(server: PredictionProcess) -> None:
    server.predict({"record_id": "early", **made_record(1)})
    server.predict({"record_id": "late", **made_record(2)})
    at = server.send("GET", "/predictions/late").json()["predicted_at"]
    listed = server.send("GET", f"/predictions?limit=1000&since={quote(at)}").json()["predictions"]
    assert "early" not in [prediction["record_id"] for prediction in listed]
    assert listed[0]["record_id"] == "late"
    future = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert server.send("GET", f"/predictions?since={future}").json() == {"predictions": [], "next": None}


def test_an_erased_record_is_gone_and_its_id_can_not_be_used_again(server: PredictionProcess) -> None:
    server.predict({"record_id": "erase", **made_record(1)})
    server.send_json("POST", "/labels", {"record_id": "erase", "label": "yes"})
    erased = server.send("DELETE", "/predictions/erase")
    assert erased.json() == {"record_id": "erase", "rows_erased": 2}
    assert server.send("GET", "/predictions/erase").status == 404
    assert server.send("DELETE", "/predictions/erase").json() == {"record_id": "erase", "rows_erased": 0}
    assert server.predict({"record_id": "erase", **made_record(2)}).status == 409


# About itself ---------------------------------------------------------------------------------------------------------


def test_status_says_what_is_held_and_how_it_feels(server: PredictionProcess) -> None:
    before = server.status()
    server.predict(made_record())
    after = server.status()
    assert (after["case"], after["ready"], after["model"]["version"]) == ("garden", True, "7")
    assert after["journal"]["predictions"] == before["journal"]["predictions"] + 1
    assert after["journal"]["last_seq"] > before["journal"]["last_seq"]
    assert after["sinks"] == {}


def test_metrics_count_what_was_answered(server: PredictionProcess) -> None:
    before = server.metric("prediction_answered_total")
    server.predict(made_record())
    assert server.metric("prediction_answered_total") == before + 1
    assert server.metric("prediction_requests_total", endpoint="predict", status="200") > 0
    assert server.metric("prediction_model_info", version="7") == 1
    assert server.metric("prediction_requests_in_flight") == 0


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/docs/", "/"])
def test_every_page_is_there(server: PredictionProcess, path: str) -> None:
    assert server.send("GET", path).status == 200


def test_every_answer_tells_a_browser_to_trust_its_type_and_to_frame_nothing(server: PredictionProcess) -> None:
    answers = [
        server.predict(made_record()),
        server.predict({}),
        send_lines(server, "/labels", [{}]),
        *(server.send("GET", path) for path in ("/metrics", "/status", "/docs/", "/static/form.css", "/", "/nothing")),
    ]
    assert {answer.status for answer in answers} == {200, 404, 422}
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_full_journal_is_503_with_retry_after_and_takes_again_after_a_trim(tmp_path: Path) -> None:
    bounds = {"JOURNAL_MAX_BYTES": str(128 * 1024), "JOURNAL_RETENTION_BYTES": "0", "JOURNAL_RETENTION_S": "0"}
    with running(tmp_path, **bounds) as server:
        answers = [server.predict(made_record(number)) for number in range(400)]
        assert {answer.status for answer in answers} == {200, 503}
        refused = answers[-1]
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "at its bound" in refused.json()["detail"]
        assert server.send("GET", "/readyz").json()["faults"] == {"journal": "the journal is at its bound"}
        answered = sum(answer.status == 200 for answer in answers)
        assert server.status()["journal"]["predictions"] == answered
        deliver_everything(tmp_path)
        poll_until(lambda: server.predict(made_record(1)).status == 200, 15)


def deliver_everything(folder: Path) -> None:
    """What a sidecar leaves behind when a sink has every row."""
    with closing(RelayState(folder / "state" / "garden" / "journals" / "00" / "relay.sqlite", ["monitoring"])) as state:
        state.advance("monitoring", 10**9)
