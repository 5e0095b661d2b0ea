"""HTTP as a client: who is asked, what is shown to whom, and how failures are told."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering_server import AnsweringServer
from hypothesis import given
from hypothesis import strategies as st
from recording_proxy import RecordingProxy

from event_backbone.errors import TryAgainLaterError
from event_backbone.process.urls import without_login, without_logins
from event_backbone.web.http_client import HttpClient, outside_client, own_client, retry_after_s


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    proxy = RecordingProxy()
    proxy.stands_before_everything(monkeypatch)
    yield proxy
    proxy.close()


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    server = AnsweringServer({"GET /": b"here"}, headers={"Set-Cookie": "seen=1"})
    yield server
    server.close()


CLIENTS = pytest.mark.parametrize(
    "client", [own_client(timeout_s=5), outside_client(timeout_s=5)], ids=["own", "outside"]
)


@CLIENTS
def test_no_proxy_is_asked_for_this_machine(client: HttpClient, server: AnsweringServer, proxy: RecordingProxy) -> None:
    assert client.send("GET", f"{server.url}/").body == b"here"
    assert proxy.asked == []


def test_our_own_services_on_other_machines_are_asked_past_the_proxy(
    server: AnsweringServer, proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url_as("service.invalid", monkeypatch)
    assert own_client(timeout_s=5).send("GET", f"{url}/").body == b"here"
    assert proxy.asked == []


def test_what_is_outside_is_asked_through_the_proxy(proxy: RecordingProxy) -> None:
    with pytest.raises(TryAgainLaterError):
        outside_client(timeout_s=5).send("POST", "http://service.invalid/hook", b"{}")
    assert proxy.asked == [b"POST http://service.invalid/hook HTTP/1.1"]


def test_hosts_in_no_proxy_are_asked_past_the_proxy(
    server: AnsweringServer, proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url_as("service.invalid", monkeypatch)
    monkeypatch.setenv("NO_PROXY", "service.invalid")
    assert outside_client(timeout_s=5).send("GET", f"{url}/").body == b"here"
    assert proxy.asked == []


@CLIENTS
def test_answers_are_asked_for_as_they_are(client: HttpClient, server: AnsweringServer) -> None:
    client.send("GET", f"{server.url}/")
    assert server.asked[-1][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("size", [1000, 1001])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_that_is_too_large_when_it_is_decoded_is_no_answer(
    size: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_backbone.web.http_client.MOST_ANSWER_BYTES", 1000)
    body = gzip.compress(bytes(size)) if encoding == "gzip" else bytes(size)
    server = AnsweringServer({"GET /": body}, headers={"Content-Encoding": encoding})
    if size <= 1000:
        assert own_client(timeout_s=5).send("GET", f"{server.url}/").body == bytes(size)
    else:
        with pytest.raises(TryAgainLaterError, match="larger than 1,000 bytes"):
            own_client(timeout_s=5).send("GET", f"{server.url}/")
    server.close()


def test_memory_stays_near_the_limit_whatever_an_answer_would_expand_to(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 1024 * 1024
    monkeypatch.setattr("event_backbone.web.http_client.MOST_ANSWER_BYTES", limit)
    server = AnsweringServer({"GET /": gzip.compress(bytes(32 * limit))}, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(TryAgainLaterError):
        own_client(timeout_s=5).send("GET", f"{server.url}/")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    server.close()
    assert peak < 4 * limit


@CLIENTS
def test_no_login_of_a_netrc_and_no_cookie_is_sent(
    client: HttpClient, server: AnsweringServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login ada password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for _ in range(2):
        client.send("GET", f"{server.url}/")
    assert [{"Authorization", "Cookie"} & set(headers) for _, headers in server.asked] == [set(), set()]


def test_a_key_is_shown_in_the_place_of_a_login(server: AnsweringServer) -> None:
    url = server.url.replace("http://", "http://ada:hush@")
    own_client(timeout_s=5).send("GET", f"{url}/")
    own_client(timeout_s=5, api_key="open-sesame").send("GET", f"{url}/")
    shown = [headers["Authorization"] for _, headers in server.asked]
    assert shown == ["Basic YWRhOmh1c2g=", "Bearer open-sesame"]


@CLIENTS
def test_a_redirect_is_an_answer(client: HttpClient) -> None:
    server = AnsweringServer({"GET /": b"", "GET /next": b""}, status=302, headers={"Location": "/next"})
    assert client.send("GET", f"{server.url}/").status == 302
    assert server.lines == ["GET /"]
    server.close()


def test_an_answer_says_when_to_come_back_and_a_body_may_stay_unread() -> None:
    server = AnsweringServer({"POST /": b"x" * 100}, status=503, headers={"Retry-After": "7"})
    answer = outside_client(timeout_s=5).send("POST", f"{server.url}/", b"{}", reads_body=False)
    assert (answer.status, answer.body, answer.retry_after_s) == (503, b"", 7.0)
    refusal = answer.refusal("monitoring")
    assert (str(refusal), refusal.retry_after_s) == ("monitoring answered 503", 7.0)
    server.close()


def test_who_does_not_answer_is_given_up_after_the_timeout_and_never_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://ada:hush@127.0.0.1:{silent.getsockname()[1]}/?token=secret"
        with pytest.raises(TryAgainLaterError) as late:
            own_client(timeout_s=0.1).send("GET", url)
    assert str(late.value) == "no answer within 0.1 s"
    assert late.value.__cause__ is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("9" * 400, 365 * 86_400.0)],
        # RFC 9110, 5.6.7: the form that is sent, and two that are read. They are the same second, 10 s from now.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 10.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 10.0),
        ("Sun Nov  6 08:49:37 1994", 10.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        (f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 +99999999999999999999", None),
        *[(None, None), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("inf", None), ("٣", None)],
    ],
)
def test_retry_after_is_whole_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=lambda: 784_111_777.0 - 10) == seconds


@given(st.text(max_size=40))
def test_whatever_a_server_sends_as_retry_after_is_read(value: str) -> None:
    assert (retry_after_s(value) or 0.0) >= 0.0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ada:hush@host:1/path?token=hush#hush", "http://host:1/path"),
        ("mongodb://ada:h@us?h@one:1,two:2/db?password=hush", "mongodb://one:1,two:2/db"),
        ("http://host/mail@path", "http://host/mail@path"),
        ("http://[", "http://["),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_a_text_is_shown_without_the_logins_in_it() -> None:
    text = "can't open postgresql://ada:hush@host/db (see http://bob@docs/x?y)"
    assert without_logins(text) == "can't open postgresql://host/db (see http://docs/x?y)"
