"""The live page of a service that asks for an API key, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from monitoring_world import body_of, predictions
from playwright.sync_api import Browser, expect

from event_backbone.guards.api_keys import line_for

KEY = "the-one-good-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
PATIENCE_MS = 60_000


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[MonitoringProcess]:
    file = tmp_path / "api-keys"
    file.write_text(f"{line_for('tests', KEY)}\n")
    monitoring = MonitoringProcess(
        tmp_path, settings={"API_KEYS_FILE": str(file)}, window_rows=200, minimum_rows=100, check_every_rows=20
    )
    monitoring.start()
    yield monitoring
    monitoring.stop()


def deliver(monitoring: MonitoringProcess, count: int) -> None:
    body = body_of([*predictions(count, first=0, bundle_sha256=monitoring.bundle_sha256)], first_seq=1)
    poll_until(lambda: requests.post(f"{monitoring.url}/events", data=body, headers=BEARER, timeout=10).ok, 30)


def test_the_page_asks_for_the_key_once_and_then_follows_the_stream(
    browser: Browser, monitoring: MonitoringProcess
) -> None:
    deliver(monitoring, 150)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(monitoring.url)
    field, fault = page.get_by_label("This service asks for an API key"), page.get_by_text("does not know this key")
    expect(field).to_be_focused()
    expect(fault).to_be_hidden()
    expect(page.locator("#unreachable")).to_be_hidden()
    field.fill("not this € one")
    page.keyboard.press("Enter")
    expect(fault).to_be_visible()
    expect(page.locator("#records")).to_have_text("\N{EN DASH}")
    expect(page.locator("#verdict-title")).to_have_text("No figures without an API key")

    field.fill(KEY)
    page.get_by_role("button", name="Show the figures").click()
    expect(page.locator("#records")).to_have_text("150")
    expect(page.locator("#key")).to_be_hidden()
    expect(page.get_by_role("link", name="State as JSON")).to_be_hidden()
    page.reload()
    expect(page.locator("#records")).to_have_text("150")
    expect(page.locator("#key")).to_be_hidden()
    assert KEY not in page.content()
    assert KEY not in page.url
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    assert errors == []

    report = page.get_by_role("link", name="Latest Evidently report")
    expect(report).to_be_visible(timeout=2 * PATIENCE_MS)
    report.click()
    expect(page.get_by_text("Dataset Drift", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert KEY not in page.url
    page.close()


def test_another_tab_is_asked_again(browser: Browser, monitoring: MonitoringProcess) -> None:
    for _ in range(2):
        page = browser.new_page()
        page.goto(monitoring.url)
        expect(page.locator("#key")).to_be_visible()
        page.get_by_label("This service asks for an API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_have_text("live")
        page.close()
