"""Bodies that come slowly, or do not come."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from event_backbone.web.reading_limit import LimitedBodies, Places, ReadingLimit


class Silent:
    """A body that does not come until it is let."""

    def __init__(self) -> None:
        self.awaited = threading.Event()
        self.come = threading.Event()

    def read(self, _size: int) -> bytes:
        self.awaited.set()
        assert self.come.wait(10)
        return b"late"


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(100)
    start_response("200 OK", [])
    return [body]


def bodies(
    application: Any = answer, *, places: int = 1, waiting: int = 8, of_a_client: int = 2, at_once: int = 3
) -> LimitedBodies:
    limit = ReadingLimit(of_a_client, at_once)
    return LimitedBodies(application, Places(places, waiting), lambda environ: environ["CLIENT"], limit)


def call(application: LimitedBodies, body: Any = None, method: str = "POST", client: str = "ada") -> tuple[str, bytes]:
    seen: list[str] = []
    request = {"REQUEST_METHOD": method, "PATH_INFO": "/x", "CLIENT": client, "wsgi.input": body or io.BytesIO(b"sent")}
    answered = b"".join(application(request, lambda status, *_: seen.append(status)))
    return seen[0][:3], answered


def test_a_body_that_does_not_come_takes_no_place_and_is_answered_when_it_comes() -> None:
    application, silent = bodies(places=1), Silent()
    answers: list[Any] = []
    sender = threading.Thread(target=lambda: answers.append(call(application, silent)))
    sender.start()
    try:
        assert silent.awaited.wait(10)
        assert call(application) == ("200", b"sent")
    finally:
        silent.come.set()
        sender.join()
    assert answers == [("200", b"late")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_has_no_body_waits_for_none(method: str) -> None:
    silent = Silent()
    assert call(bodies(), silent, method)[0] == "200"
    assert not silent.awaited.is_set()


def test_a_client_and_all_of_them_may_keep_so_many_waiting_and_no_more() -> None:
    application, silent = bodies(of_a_client=2, at_once=3), [Silent() for _ in range(3)]
    senders = [
        threading.Thread(target=call, args=(application, body), kwargs={"client": client})
        for body, client in zip(silent, ("ada", "ada", "bob"), strict=True)
    ]
    try:
        for sender, body in zip(senders[:2], silent, strict=False):
            sender.start()
            assert body.awaited.wait(10)
        assert call(application, client="ada")[0] == "503"
        assert call(application, client="bob") == ("200", b"sent")
        senders[2].start()
        assert silent[2].awaited.wait(10)
        assert call(application, client="carol")[0] == "503"
    finally:
        for body in silent:
            body.come.set()
        for sender in senders:
            sender.join()
    assert call(application, client="ada") == ("200", b"sent")


def test_a_client_that_fails_while_it_sends_is_forgotten() -> None:
    class Torn:
        def read(self, _size: int) -> bytes:
            raise ConnectionResetError

    application = bodies(of_a_client=1, at_once=1)
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            call(application, Torn())
    assert call(application) == ("200", b"sent")


def test_requests_that_wait_leave_room_for_probes_and_those_beyond_are_told_to_come_back() -> None:
    inside, leave = threading.Event(), threading.Event()

    def work(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/x":
            inside.set()
            assert leave.wait(10)
        start_response("200 OK", [])
        return []

    application = bodies(work, places=1, waiting=0)
    worker = threading.Thread(target=call, args=(application,))
    worker.start()
    try:
        assert inside.wait(10)
        assert call(application)[0] == "503"
        probe = {"REQUEST_METHOD": "GET", "PATH_INFO": "/livez"}
        assert list(application(probe, lambda *_: None)) == []
    finally:
        leave.set()
        worker.join()
    assert call(application)[0] == "200"


@pytest.mark.parametrize("size", [(), (-1,), (None,)])
def test_all_of_a_body_is_read_as_a_server_offers_it(size: tuple[int | None, ...]) -> None:
    class Stream:
        """Takes no negative size, as granian's."""

        def read(self, size: int | None = None) -> bytes:
            assert size is None
            return b"all"

    def read_all(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(*size)]

    assert call(bodies(read_all), Stream()) == ("200", b"all")
