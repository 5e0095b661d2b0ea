"""What people do on the live page reaches the real service, with and without an API key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from monitoring_world import body_of, predictions
from playwright.sync_api import Browser, Page, expect

from event_backbone.guards.api_keys import line_for

KEY = "the-one-good-key"
PATIENCE_MS = 120_000


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[MonitoringProcess]:
    file = tmp_path / "api-keys"
    file.write_text(f"{line_for('tests', KEY)}\n")
    settings = {"API_KEYS_FILE": str(file), "MONITORING_ALERT_TIME_SCALE": "0.01"}
    monitoring = MonitoringProcess(tmp_path, settings=settings, window_rows=200, minimum_rows=100, check_every_rows=20)
    monitoring.start()
    yield monitoring
    monitoring.stop()


def deliver(monitoring: MonitoringProcess, count: int, first: int, price_shift: float) -> None:
    made = predictions(count, first=first, bundle_sha256=monitoring.bundle_sha256, price_shift=price_shift)
    body = body_of([*made], first_seq=first + 1)
    headers = {"X-API-Key": KEY}
    poll_until(lambda: requests.post(f"{monitoring.url}/events", data=body, headers=headers, timeout=10).ok, 60)


def opened(browser: Browser, monitoring: MonitoringProcess) -> Page:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(monitoring.url)
    page.get_by_label("This service asks for an API key").fill(KEY)
    page.keyboard.press("Enter")
    return page


def say(page: Page, button: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_label("Why").fill("seen")
    dialog.get_by_role("button", name=button, exact=True).click()


def was_ordered(page: Page) -> bool:
    """A report soon after another is refused, and the page says so."""
    with page.expect_response("**/api/reports") as answer:
        page.get_by_role("button", name="Make one now").click()
    if not answer.value.ok:
        expect(page.locator("#report-fault")).to_contain_text("try again in")
    return answer.value.ok


def test_an_alert_is_acknowledged_and_silenced_and_the_new_world_accepted_and_taken_back(
    browser: Browser, monitoring: MonitoringProcess
) -> None:
    page = opened(browser, monitoring)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    deliver(monitoring, 300, 0, price_shift=12.0)
    alert = page.locator(".alert.firing", has_text="FeatureDrift")
    expect(alert).to_be_visible(timeout=PATIENCE_MS)
    alert.get_by_role("button", name="Acknowledge").click()
    say(page, "Acknowledge")
    expect(alert).to_contain_text("acknowledged by Ada: “seen”")
    alert.get_by_role("button", name=re.compile("^Silence")).click()
    say(page, "Silence")
    expect(alert).to_contain_text("by Ada: “seen”")
    alert.get_by_role("button", name="End silence").click()
    page.get_by_role("dialog").get_by_role("button", name="End silence").click()
    expect(alert).not_to_contain_text("silenced until")

    page.get_by_role("button", name="Price", exact=True).click()
    values = page.get_by_role("region", name="Price: reference and window")
    expect(values.locator("svg.bars")).to_be_visible()

    page.get_by_role("button", name="Accept the current window").click()
    say(page, "Accept")
    expect(page.locator("#reference-text")).to_contain_text("that Ada accepted (")
    deliver(monitoring, 200, 300, price_shift=12.0)
    expect(page.locator("#verdict-title")).to_have_text("No drift", timeout=PATIENCE_MS)
    expect(page.locator(".alert.resolved", has_text="FeatureDrift").first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Go back").click()
    say(page, "Go back")
    expect(page.locator("#reference-text")).to_contain_text("the model's own reference")

    assert errors == []
    poll_until(lambda: was_ordered(page), 60, "a report that is not refused as too soon")
    expect(page.locator("#reports")).to_contain_text("demand", timeout=2 * PATIENCE_MS)
    page.locator("#reports a").first.click()
    expect(page.get_by_text("Dataset Drift", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert KEY not in page.url
    page.close()
