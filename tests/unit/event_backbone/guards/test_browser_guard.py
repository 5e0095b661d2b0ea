"""Requests that a browser sends for somebody else's page."""

from __future__ import annotations

import pytest

from event_backbone.guards.browser_guard import BrowserGuard, with_policy

HOSTS = {"127.0.0.1", "::1", "localhost"}


def is_refused(**headers: str) -> bool:
    refusal = BrowserGuard(HOSTS).refusal(headers)
    assert refusal is None or refusal.status == 403
    return refusal is not None


@pytest.mark.parametrize("host", ["127.0.0.1:9696", "localhost:9696", "localhost", "[::1]:9696"])
def test_our_own_names_are_let_through(host: str) -> None:
    assert not is_refused(HTTP_HOST=host)


@pytest.mark.parametrize(
    "host",
    [
        "[::1]example.com",
        "[::1",
        "::1",
        "localhost:80:80",
        "localhost:example.com",
        "127.0.0.1:9696/",
        "a@localhost",
        "",
    ],
)
def test_a_host_is_compared_whole(host: str) -> None:
    assert is_refused(HTTP_HOST=host)


def test_a_client_without_host_and_origin_is_let_through() -> None:
    assert not is_refused()


def test_a_form_of_our_own_page_is_let_through() -> None:
    assert not is_refused(HTTP_HOST="127.0.0.1:9696", HTTP_ORIGIN="http://127.0.0.1:9696")


@pytest.mark.parametrize("origin", ["https://example.com", "http://127.0.0.1:8085", "null"])
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert is_refused(HTTP_HOST="127.0.0.1:9696", HTTP_ORIGIN=origin)


def test_a_name_made_to_point_at_us_is_refused() -> None:
    assert is_refused(HTTP_HOST="rebound.example.com:9696")


NOTHING = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"


def test_every_answer_is_what_its_type_says_runs_nothing_and_is_framed_by_nobody() -> None:
    headers = with_policy([("Content-Type", "application/json")])
    assert ("X-Content-Type-Options", "nosniff") in headers
    assert [value for name, value in headers if name == "Content-Security-Policy"] == [NOTHING]


def test_a_page_keeps_its_own_policy_and_is_framed_by_nobody_all_the_same() -> None:
    whole = "default-src 'self'; frame-ancestors 'none'"
    assert [value for name, value in with_policy([("Content-Security-Policy", whole)]) if "Policy" in name] == [whole]
    headers = with_policy([("Content-Security-Policy", "default-src 'self'")])
    assert headers[0] == ("Content-Security-Policy", "default-src 'self'")
    assert headers[2] == ("Content-Security-Policy", "frame-ancestors 'none'")
    assert headers[1] == ("X-Content-Type-Options", "nosniff")
