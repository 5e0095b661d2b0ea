"""The shadow on the live page, in a real browser, before a service that is played."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_page_stage import Stage
from playwright.sync_api import Browser, expect
from watched_page import Watched

from event_backbone.case.files import load_case

CASES = Path(__file__).parents[2] / "cases"


@pytest.fixture(params=["census", "housing"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(load_case(CASES / f"{request.param}.yaml"))
    yield stage
    stage.stop()


@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_the_shadow_stands_beside_the_version_that_answers(browser: Browser, stage: Stage, width: str) -> None:
    watched = Watched(browser, stage.url, width)
    page = watched.page
    caption = "Version 5 scores what version 4 answers: 1,600 records by both, 4 not yet."
    expect(page.locator("#shadow-caption")).to_have_text(caption)
    expect(page.locator("#shadow-labelled")).to_have_text("700 pairs with a label")
    if stage.case.is_binary:
        expect(page.locator("#shadow-decisions tr").first).to_contain_text("95 %93.8 % to 96.0 %")
        expect(page.locator("#shadow-decisions tr").nth(1)).to_contain_text("61")
    expect(page.locator("#shadow-decisions tr").last).to_contain_text("at most 0.410")
    expect(page.locator("#shadow-figures tbody tr")).to_have_count(2)
    assert watched.does_not_scroll_sideways()
    assert watched.errors == watched.elsewhere == []
    watched.close()


def test_without_a_shadow_nothing_is_shown(browser: Browser, stage: Stage) -> None:
    stage.shadow["comparisons"] = []
    stage.state["totals"]["shadows"] = 0
    watched = Watched(browser, stage.url, "desktop")
    expect(watched.page.locator("#verdict-title")).to_contain_text("drift")
    expect(watched.page.locator("#shadow")).to_be_hidden()
    watched.close()
