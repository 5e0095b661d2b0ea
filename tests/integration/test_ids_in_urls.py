"""Ids that a URL has to carry: whatever is accepted can be read and erased with the clients that people use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest
import requests
from prediction_process import PredictionProcess, running
from prediction_world import made_record

from event_backbone.case.records import fault_in_record_id

#: Of the alphabet of ids, what clients, servers and routers may treat as special.
AWKWARD = [
    *(
        "...",
        "....",
        ".a",
        "a.",
        "..a",
        "a..",
        ".-.",
        "~",
        "~..",
        ":",
        "::",
        "a:b",
        "http:",
        "c:",
        "-",
        "--",
        "-a",
        "_",
    ),
    *("erase", "0", "0.0", "1e9", "null", "A", "a", "%2e"[1:], "~root", "x" * 127, "index.html", ".well-known"),
]
NO_URL_CARRIES = [".", ".."]
#: Not of the alphabet; a path, a router or a log would read something else.
REFUSED = [
    "",
    " ",
    "a b",
    "a/b",
    "/",
    "a\\b",
    "a?b",
    "a#b",
    "%",
    "%2e",
    "a%2fb",
    "\n",
    "a\n",
    "\0",
    "\x7f",
    "\u00e9",
    "a+b",
    "a;b",
]


def by_requests(method: str, url: str) -> int:
    return requests.request(method, url, timeout=10).status_code


def by_httpx(method: str, url: str) -> int:
    return httpx.request(method, url, timeout=10, trust_env=False).status_code


def by_curl(method: str, url: str) -> int:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--noproxy", "*", url]
    return int(subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout)


CLIENTS: dict[str, Callable[[str, str], int]] = {"requests": by_requests, "httpx": by_httpx, "curl": by_curl}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    with running(tmp_path_factory.mktemp("ids")) as process:
        yield process


def test_every_client_reads_and_erases_by_url_whatever_id_was_accepted(process: PredictionProcess) -> None:
    for number, (name, send) in enumerate(CLIENTS.items()):
        for record_id in AWKWARD:
            # An erased id is used once; the number keeps what is awkward at the end or the beginning.
            used = record_id if number == 0 else (f"{record_id}{number}" if number == 1 else f"{number}{record_id}")
            assert process.predict(made_record(record_id=used)).status == 200, used
            url = f"{process.url}/predictions/{used}"
            assert (send("GET", url), send("DELETE", url), send("GET", url)) == (200, 200, 404), (name, used)


@pytest.mark.parametrize("record_id", NO_URL_CARRIES)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_id_that_a_client_takes_out_of_the_path_is_refused(
    process: PredictionProcess, client: str, record_id: str
) -> None:
    assert process.predict(made_record(record_id=record_id)).status == 422
    # What arrives is another path: the form's page, or nothing. Written as %2e it arrives, but not through every proxy.
    assert CLIENTS[client]("DELETE", f"{process.url}/predictions/{record_id}") in (404, 405)


@pytest.mark.parametrize("record_id", [*NO_URL_CARRIES, *REFUSED])
def test_what_no_url_can_carry_is_refused_as_an_id(process: PredictionProcess, record_id: str) -> None:
    assert fault_in_record_id(record_id) is not None
    answer = process.predict(made_record(record_id=record_id))
    assert (answer.status, [fault["field"] for fault in answer.json()["faults"]]) == (422, ["record_id"])


def test_an_id_that_no_url_can_carry_is_erased_by_a_body(process: PredictionProcess) -> None:
    answer = process.send_json("POST", "/predictions/erase", {"record_ids": [*NO_URL_CARRIES, "a b"]})
    assert answer.status == 200
    assert [one["record_id"] for one in answer.json()["erased"]] == NO_URL_CARRIES
    assert [one["record_id"] for one in answer.json()["not_erased"]] == ["a b"]
