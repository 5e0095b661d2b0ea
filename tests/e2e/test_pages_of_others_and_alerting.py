"""A page of another origin, in a real browser, beside Prometheus and Alertmanager as docker-compose.yml runs them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from composed_alerting import ComposedAlerting, ComposedPart, composed_alerting
from playwright.sync_api import Browser, Error, Page

from event_backbone.events.schema import time_text

#: What a page can do: what came back, or that nothing did.
ASK = """async ([url, how]) => {
    try {
        const answer = await fetch(url, how);
        return [answer.status, await answer.text()];
    } catch (refused) {
        return null;
    }
}"""
READ = {"alertmanager": "/api/v2/status", "prometheus": "/api/v1/query?query=up"}


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>a page of somebody else</p>")

    def log_message(self, *_: object) -> None:
        """Tests say what went wrong."""


@pytest.fixture
def elsewhere(browser: Browser) -> Iterator[Page]:
    """A page of another origin: browsers take every name below localhost for this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"http://elsewhere.localhost:{server.server_port}/")
            yield page
        server.shutdown()


@pytest.fixture(scope="module")
def alerting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedAlerting]:
    with composed_alerting(tmp_path_factory.mktemp("alerting")) as alerting:
        yield alerting


def silence() -> dict[str, Any]:
    """Of an alert that there is not."""
    now = datetime.now(UTC).timestamp()
    matcher = {"name": "alertname", "value": "Never", "isRegex": False, "isEqual": True}
    times = {"startsAt": time_text(now), "endsAt": time_text(now + timedelta(minutes=1).total_seconds())}
    body = {"matchers": [matcher], **times, "createdBy": "a page", "comment": "harmless"}
    return {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def asked(page: Page, url: str, **how: Any) -> Any:
    return page.evaluate(ASK, [url, how])


def log_in(page: Page, part: ComposedPart) -> None:
    """As a person does; the browser remembers it."""
    name, password = part.login
    before = page.url
    page.goto(f"http://{name}:{password}@127.0.0.1:{part.port}/-/ready")
    answer = page.goto(f"{part.url}/-/ready")
    assert answer is not None
    assert answer.status == 200
    page.goto(before)


def check_that_nothing_is_answered(page: Page, alerting: ComposedAlerting) -> None:
    for credentials in ("omit", "include"):
        for part in alerting.parts:
            assert asked(page, part.url + READ[part.service], credentials=credentials) is None
        silences = f"{alerting.alertmanager.url}/api/v2/silences"
        assert asked(page, silences, credentials=credentials, **silence()) is None
    assert alerting.alertmanager.get("/api/v2/silences") == []


def test_a_page_of_another_origin_reads_nothing_and_silences_nothing(
    elsewhere: Page, alerting: ComposedAlerting
) -> None:
    check_that_nothing_is_answered(elsewhere, alerting)


def test_nor_does_it_in_a_browser_in_which_somebody_has_logged_in(elsewhere: Page, alerting: ComposedAlerting) -> None:
    for part in alerting.parts:
        log_in(elsewhere, part)
    check_that_nothing_is_answered(elsewhere, alerting)


def test_another_host_name_that_points_here_is_asked_for_a_login_of_its_own(
    elsewhere: Page, alerting: ComposedAlerting
) -> None:
    for part in alerting.parts:
        log_in(elsewhere, part)
        page = elsewhere.context.new_page()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            page.goto(f"http://rebound.localhost:{part.port}{READ[part.service]}")


def test_their_own_pages_read_and_silence_once_somebody_has_logged_in(
    elsewhere: Page, alerting: ComposedAlerting
) -> None:
    for part in alerting.parts:
        log_in(elsewhere, part)
        elsewhere.goto(f"{part.url}/-/ready")
        status, _ = asked(elsewhere, READ[part.service])
        assert status == 200
    elsewhere.goto(f"{alerting.alertmanager.url}/-/ready")
    status, answer = asked(elsewhere, "/api/v2/silences", **silence())
    assert status == 200, answer


def test_without_a_login_the_same_page_would_be_answered(elsewhere: Page, tmp_path: Path) -> None:
    """What the page is able to do, so that the tests above see a refusal."""
    alerting = ComposedAlerting(tmp_path)
    for part in alerting.parts:
        (alerting.secrets / part.service / "web.yml").unlink()
        (alerting.secrets / part.service / "web.yml").write_text("{}")
    try:
        alerting.start()
        status, _ = asked(elsewhere, alerting.alertmanager.url + READ["alertmanager"])
        assert status == 200
        status, _ = asked(elsewhere, f"{alerting.alertmanager.url}/api/v2/silences", **silence())
        assert status == 200
        answer = elsewhere.goto(f"http://rebound.localhost:{alerting.prometheus.port}{READ['prometheus']}")
        assert answer is not None
        assert answer.status == 200
    finally:
        alerting.stop()
