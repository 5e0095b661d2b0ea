"""The live page in a real browser, at desktop and phone width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_process import PATIENCE, MonitoringProcess, poll_until
from monitoring_world import body_of, label, predictions
from playwright.sync_api import Browser, expect
from watched_page import Watched

from event_backbone.events.schema import Event, FaultCount, Rejections, utc_now
from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics
from event_backbone.kafka.topics import Topics
from event_backbone.settings import ConnectionSettings

PATIENCE_MS = 60_000


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[MonitoringProcess]:
    monitoring = MonitoringProcess(tmp_path, window_rows=200, minimum_rows=100, check_every_rows=20)
    monitoring.start()
    yield monitoring
    monitoring.stop()


def stream(monitoring: MonitoringProcess, count: int, *, first: int = 0, price_shift: float = 0.0) -> None:
    made = predictions(count, first=first, bundle_sha256=monitoring.bundle_sha256, price_shift=price_shift)
    events: list[Event] = [*made, *(label(one.record_id, str(one.prediction)) for one in made)]
    events.append(Rejections(f"x{first}", "shop", utc_now(), utc_now(), count // 20, [FaultCount("price", "range", 1)]))
    monitoring.post_until_taken(body_of(events, first_seq=2 * first + 1))


@pytest.mark.alone
@pytest.mark.parametrize(
    ("width", "theme"), [("desktop", "light"), pytest.param("phone", "dark", marks=pytest.mark.long)]
)
def test_a_drift_verdict_appears_without_a_reload(
    browser: Browser, monitoring: MonitoringProcess, width: str, theme: str
) -> None:
    watched = Watched(browser, monitoring.url, width, theme)
    page = watched.page
    expect(page.locator("#verdict-title")).to_have_text("Waiting for the first records")
    assert watched.does_not_scroll_sideways()
    page.evaluate("window.sameDocument = true")

    stream(monitoring, 300)
    expect(page.locator("#records")).to_have_text("300")
    expect(page.locator("#verdict-title")).to_have_text("No drift", timeout=2 * PATIENCE_MS)
    expect(page.locator('[data-figure="accuracy"]')).to_have_text("1.000", timeout=PATIENCE_MS)
    expect(page.locator("#stream")).to_have_text("Events come over HTTP.")
    price = page.locator('[data-column="price"]')
    expect(price.locator("[data-badge]")).to_have_text("steady")

    stream(monitoring, 300, first=300, price_shift=12.0)
    state = monitoring.wait_for_checks(600)
    expect(page.locator("#verdict-title")).to_have_text("1 of 3 columns drift", timeout=5_000)
    expect(price.locator("[data-badge]")).to_contain_text(f"drift since record {state['columns'][0]['since_row']}")
    expect(page.locator('[data-column="payment"] [data-badge]')).to_have_text("steady")
    expect(page.locator("#conditions")).to_contain_text("▲ Drift: Price")
    expect(page.locator("#episodes")).to_contain_text("▲ Price")
    assert page.evaluate("window.sameDocument") is True
    for chart in ("throughput", "mix", "quality"):
        expect(page.locator(f"#chart-{chart} canvas")).to_be_visible()
    assert watched.does_not_scroll_sideways()
    assert watched.errors == []
    assert watched.elsewhere == []
    watched.close()


def test_a_strip_can_be_read_and_opened_with_the_keyboard(browser: Browser, monitoring: MonitoringProcess) -> None:
    stream(monitoring, 200)
    monitoring.wait_for_checks(200)
    watched = Watched(browser, monitoring.url, "desktop")
    page = watched.page
    strip = page.get_by_role("slider", name="Price: checks over time")
    expect(strip).to_have_attribute("aria-valuemax", "5")
    strip.focus()
    expect(page.locator("#readout")).to_contain_text("Price, check at record 200")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#readout")).to_contain_text("Price, check at record 180")
    expect(strip).to_have_attribute("aria-valuetext", re.compile("check at record 180"))
    page.keyboard.press("ArrowDown")
    expect(page.locator("#readout")).to_contain_text("Items, check at record 180")
    page.keyboard.press("Enter")
    values = page.get_by_role("region", name="Items: reference and window")
    expect(values.get_by_role("img", name="Items: shares in the reference and in the window")).to_be_visible()
    page.keyboard.press("Escape")
    expect(values).to_be_hidden()
    expect(page.get_by_role("button", name="Items", exact=True)).to_be_focused()
    assert watched.errors == []
    watched.close()


def test_the_page_says_that_the_service_is_away_and_goes_on_when_it_is_back(
    browser: Browser, monitoring: MonitoringProcess
) -> None:
    stream(monitoring, 40)
    watched = Watched(browser, monitoring.url, "phone")
    page = watched.page
    expect(page.locator("#records")).to_have_text("40")
    expect(page.locator("#unreachable")).to_be_hidden()
    monitoring.kill()
    expect(page.locator("#unreachable")).to_be_visible(timeout=10_000 * PATIENCE)
    expect(page.locator("#live")).to_have_text("not connected")
    expect(page.locator("#records")).to_have_text("40")
    monitoring.start()
    stream(monitoring, 20, first=40)
    expect(page.locator("#unreachable")).to_be_hidden(timeout=10_000 * PATIENCE)
    expect(page.locator("#records")).to_have_text("60")
    watched.close()


@pytest.mark.long
def test_the_report_opens_in_the_browser(browser: Browser, monitoring: MonitoringProcess) -> None:
    stream(monitoring, 200)
    watched = Watched(browser, monitoring.url, "desktop")
    link = watched.page.get_by_role("link", name="Latest Evidently report")
    expect(link).to_be_visible(timeout=2 * PATIENCE_MS)
    link.click()
    expect(watched.page.get_by_text("Dataset Drift", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    poll_until(lambda: watched.page.locator("svg").count() > 3, 20)
    assert watched.elsewhere == []
    watched.close()


def test_the_page_of_a_process_that_stands_by_becomes_the_live_page_when_it_takes_over(
    browser: Browser, monitoring: MonitoringProcess
) -> None:
    stream(monitoring, 40)
    other = MonitoringProcess(monitoring.folder, window_rows=200, minimum_rows=100, check_every_rows=20)
    try:
        other.start()
        watched = Watched(browser, other.url, "phone")
        expect(watched.page.get_by_role("heading", level=2)).to_have_text("This process stands by")
        assert watched.does_not_scroll_sideways()
        monitoring.kill()
        expect(watched.page.locator("#records")).to_have_text("40", timeout=PATIENCE_MS)
        watched.close()
    finally:
        other.stop()


@pytest.mark.long
def test_the_page_tells_how_far_behind_kafka_it_is(
    browser: Browser, tmp_path: Path, kafka_url: str, kafka_namespace: str
) -> None:
    """Nobody has made the topics: that is told as well."""
    monitoring = MonitoringProcess(tmp_path, settings={"MONITORING_EVENTS": f"{kafka_url}/{kafka_namespace}"})
    try:
        monitoring.start()
        watched = Watched(browser, monitoring.url, "desktop")
        expect(watched.page.locator("#stream")).to_contain_text("not reached now", timeout=PATIENCE_MS)
        expect(watched.page.locator("#warnings")).to_contain_text("Kafka not read since")
        settings = ConnectionSettings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings adds it
        topics = Topics(kafka_namespace, "shop")
        access = kafka_access(f"{kafka_url}/{kafka_namespace}", settings)
        create_topics(access, [TopicSpec(name, 1, 1) for name in topics.all])
        expect(watched.page.locator("#stream")).to_contain_text("everything there was read", timeout=PATIENCE_MS)
        expect(watched.page.locator("#warnings")).to_be_hidden()
        assert watched.errors == []
        watched.close()
    finally:
        monitoring.stop()
