"""Requests that a browser sends for somebody else's page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from event_backbone.web.browser_guard import BrowserGuard

HOSTS = {"127.0.0.1", "::1", "localhost"}


def status_for(**headers: str) -> str:
    seen: list[str] = []

    def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return []

    def start_response(status: str, _headers: list[tuple[str, str]], *_rest: Any) -> Any:
        seen.append(status[:3])

    BrowserGuard(application, HOSTS)(headers, start_response)
    return seen[0]


@pytest.mark.parametrize("host", ["127.0.0.1:9696", "localhost:9696", "localhost", "[::1]:9696"])
def test_our_own_names_are_let_through(host: str) -> None:
    assert status_for(HTTP_HOST=host) == "200"


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
    assert status_for(HTTP_HOST=host) == "403"


def test_a_client_without_host_and_origin_is_let_through() -> None:
    assert status_for() == "200"


def test_a_form_of_our_own_page_is_let_through() -> None:
    assert status_for(HTTP_HOST="127.0.0.1:9696", HTTP_ORIGIN="http://127.0.0.1:9696") == "200"


@pytest.mark.parametrize("origin", ["https://example.com", "http://127.0.0.1:8085", "null"])
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert status_for(HTTP_HOST="127.0.0.1:9696", HTTP_ORIGIN=origin) == "403"


def test_a_name_made_to_point_at_us_is_refused() -> None:
    assert status_for(HTTP_HOST="rebound.example.com:9696") == "403"
