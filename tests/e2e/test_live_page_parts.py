"""Every part of the live page in a real browser, in both themes and at both widths, before a service that is played."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from live_page_stage import Stage, at, staged_retraining
from playwright.sync_api import Browser, Page, expect
from watched_page import WIDTHS, Watched

from event_backbone.case.files import load_case

CASES = Path(__file__).parents[2] / "cases"
OTHER_VIEWS = sorted(
    {*product(("census", "housing"), WIDTHS, ("light", "dark"))}
    - {("census", "desktop", "light"), ("housing", "phone", "dark")}
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(load_case(CASES / "census.yaml"))
    yield stage
    stage.stop()


def say(page: Page, button: str, *, by: str = "Ada", note: str = "looked at it") -> None:
    """Fill in the dialog and confirm."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your name").fill(by)
    dialog.get_by_label("Why").fill(note)
    dialog.get_by_role("button", name=button, exact=True).click()


def test_a_retraining_is_asked_for_and_followed(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "desktop")
    page = watched.page
    expect(page.locator("#retrainings li").first).to_contain_text("The champion stays; version 7 was refused")
    expect(page.locator("#retrainings li").first).to_contain_text("it is not better by the margin")
    expect(page.locator("#retrainings li").nth(1)).to_contain_text("Version 6 is the new champion")
    page.get_by_role("button", name="Train again").click()
    say(page, "Train again", note="new prices")
    expect(page.locator("#retraining-state")).to_have_text("Running: fitting: 2 candidates.")
    expect(page.locator("#retrain")).to_be_disabled()
    assert stage.asked == [("POST", "retraining", {"by": "Ada", "note": "new prices"})]
    stage.state["retraining"] = staged_retraining(fault="the training server gives no answer")
    expect(page.locator("#retraining-state")).to_contain_text("gives no answer")
    cooling = {"reason": "cooldown", "detail": "The cooldown lasts for another 119 s.", "retry_after_s": 119.0}
    stage.state["retraining"] = {**staged_retraining(), "refusal": cooling}
    expect(page.locator("#retraining-state")).to_have_text("Another may begin in 2 min.")
    expect(page.locator("#retrain")).to_be_disabled()
    stage.state["retraining"] = None
    expect(page.locator("#retraining")).to_be_hidden()
    assert (watched.errors, watched.elsewhere) == ([], [])
    watched.close()


@pytest.mark.parametrize(
    ("name", "width", "theme"),
    [
        ("census", "desktop", "light"),
        ("housing", "phone", "dark"),
        *(pytest.param(*view, marks=pytest.mark.long) for view in OTHER_VIEWS),
    ],
)
def test_every_part_shows_what_is_known_without_scrolling_sideways(
    browser: Browser, width: str, theme: str, name: str
) -> None:
    stage = Stage(load_case(CASES / f"{name}.yaml"))
    try:
        watched = Watched(browser, stage.url, width, theme)
        page = watched.page
        expect(page.locator("#verdict-title")).to_contain_text("columns drift")
        expect(page.locator("#alerts-summary")).to_have_text("2 firing, 1 pending")
        expect(page.locator("#arrival-delay")).to_have_text("43 ms")
        expect(page.locator("#data-quality tr")).to_have_count(len(stage.case.columns))
        expect(page.locator("#quality-table tbody tr").first).to_contain_text("to")
        expect(page.locator("#label-delay-note")).to_contain_text("nine of ten within 52 min")
        expect(page.locator("#versions li").first).to_contain_text("version 4")
        for chart in ("throughput", "mix", "quality", "windows"):
            expect(page.locator(f"#chart-{chart} canvas")).to_be_visible()
        for opener in page.locator("[data-open]").all()[:2]:
            opener.click()
        expect(page.locator("[data-detail] .legend")).to_have_count(2)
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true; }")
        assert watched.does_not_scroll_sideways()
        page.locator("#accept").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert watched.does_not_scroll_sideways()
        assert watched.errors == watched.elsewhere == []
        watched.close()
    finally:
        stage.stop()


def test_an_alert_is_acknowledged_silenced_and_heard_again(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "phone")
    page = watched.page
    alert = page.locator(".alert", has_text="Age drifts")
    alert.get_by_role("button", name="Acknowledge").click()
    say(page, "Acknowledge")
    expect(alert).to_contain_text("acknowledged by Ada")
    expect(alert.get_by_role("button", name="Acknowledge")).to_have_count(0)
    alert.get_by_role("button", name="Silence: Age drifts").click()
    expect(page.get_by_label("Your name")).to_have_value("Ada")
    page.get_by_label("For how long").select_option("8 hours")
    say(page, "Silence")
    expect(alert).to_contain_text("silenced until")
    alert.get_by_role("button", name="End silence").click()
    expect(page.get_by_role("dialog").get_by_label("Your name")).to_be_hidden()
    page.get_by_role("dialog").get_by_role("button", name="End silence").click()
    expect(alert.get_by_role("button", name="Silence: Age drifts")).to_be_visible()
    said = {"by": "Ada", "note": "looked at it"}
    assert stage.asked == [
        ("POST", "alerts/a1/acknowledge", said),
        ("POST", "alerts/a1/silence", {**said, "seconds": 28800}),
        ("DELETE", "alerts/a1/silence", None),
    ]
    assert watched.errors == []
    watched.close()


def test_the_current_window_is_accepted_as_reference_and_that_is_taken_back(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "desktop")
    page = watched.page
    text = page.locator("#reference-text")
    expect(text).to_contain_text("the model's own reference")
    expect(page.locator("#revert")).to_be_disabled()
    page.get_by_role("button", name="Accept the current window").click()
    say(page, "Accept", note="a new law")
    expect(text).to_contain_text("that Ada accepted (")
    expect(text).to_contain_text("“a new law”")
    page.get_by_role("button", name="Go back").click()
    say(page, "Go back")
    expect(text).to_contain_text("the model's own reference")
    assert [what for _, what, _ in stage.asked] == ["reference/accept", "reference/revert"]
    watched.close()


def test_what_the_service_refuses_is_told_in_the_dialog_and_escape_changes_nothing(
    browser: Browser, stage: Stage
) -> None:
    watched = Watched(browser, stage.url, "phone")
    page = watched.page
    expect(page.locator("#reference-text")).to_contain_text("the model's own reference")
    expect(page.locator("#accept")).to_be_enabled()
    page.locator("#accept").focus()
    page.keyboard.press("Enter")
    say(page, "Accept", note="refuse")
    expect(page.get_by_role("alert").filter(has_text="a reference needs 200")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#accept")).to_be_focused()
    expect(page.locator("#reference-text")).to_contain_text("the model's own reference")
    watched.close()


def test_a_report_is_ordered(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "desktop")
    watched.page.get_by_role("button", name="Make one now").click()
    expect(watched.page.locator("#report-state")).to_have_text("One is being made…")
    expect(watched.page.locator("#reports a")).to_have_count(2)
    assert stage.asked == [("POST", "reports", None)]
    watched.close()


def test_thousands_of_checks_are_told_in_few_cells_that_hide_no_drift(browser: Browser) -> None:
    stage = Stage(load_case(CASES / "census.yaml"), checks=4000)
    try:
        watched = Watched(browser, stage.url, "desktop")
        page = watched.page
        page.locator("#span").select_option("all checks kept")
        strip = page.get_by_role("slider", name="Age: checks over time")
        strip.focus()
        expect(page.locator("#readout")).to_contain_text("most of the checks at records")
        assert 100 <= int(strip.get_attribute("aria-valuemax") or 0) < 300
        expect(page.locator("#readout")).to_contain_text("significant, drift")
        watched.close()
    finally:
        stage.stop()


def test_a_metric_that_was_never_measured_does_not_keep_the_lines_of_another(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "desktop")
    page = watched.page
    chart = page.locator("#chart-quality")
    expect(chart.locator("canvas")).to_be_visible()
    page.get_by_label("Charts show").select_option("Log loss")
    expect(chart).to_contain_text("Shown once labels have come")
    page.get_by_label("Charts show").select_option("AUC")
    expect(chart.locator("canvas")).to_be_visible()
    assert watched.errors == []
    watched.close()


@pytest.mark.parametrize(
    ("name", "gap", "condition", "tile"),
    [
        ("census", "+0.024 (0.004 to 0.044)", "0.449, limit 0.200", "870 labelled"),
        ("housing", "+2.4 % (0.4 % to 4.4 %)", "45 %, limit 20 %", "US dollars; 870 labelled"),
    ],
)
def test_degradations_and_errors_have_the_unit_of_the_task(
    browser: Browser, name: str, gap: str, condition: str, tile: str
) -> None:
    stage = Stage(load_case(CASES / f"{name}.yaml"))
    try:
        held = {
            "name": "concept_drift",
            "column": None,
            "active": True,
            "since": at(9),
            "value": 0.449,
            "threshold": 0.2,
        }
        stage.state["conditions"] = [held]
        watched = Watched(browser, stage.url, "phone")
        expect(watched.page.locator("#gap")).to_contain_text(gap)
        expect(watched.page.locator("#conditions")).to_contain_text(condition)
        expect(watched.page.locator("[data-figure-note]").first).to_contain_text(tile)
        watched.close()
    finally:
        stage.stop()


def test_nothing_known_yet_is_said_in_words(browser: Browser, stage: Stage) -> None:
    stage.checks = []
    stage.performance_windows = []
    empty = {"evaluation": None, "quality": None, "label_delay": None, "arrival_delay": None, "alerts": []}
    stage.state |= {**empty, "episodes": [], "reports": [], "conditions": []}
    watched = Watched(browser, stage.url, "phone")
    page = watched.page
    for place, words in {
        "#alert-list": "No alert so far.",
        "#quality-caption": "Shown from the first check on",
        "#chart-quality": "Shown once labels have come",
        "#chart-windows": "No labels yet",
        "#segments": "Shown once labels have come",
        "#label-delay": "No labels yet.",
        "#conditions": "None holds.",
        "#episodes": "None so far.",
        "#reports": "None yet",
        "#versions": "Shown from the first check on.",
    }.items():
        expect(page.locator(place)).to_contain_text(words)
    assert watched.does_not_scroll_sideways()
    assert watched.errors == []
    watched.close()


def test_before_the_first_check_the_page_says_so_and_never_that_nothing_drifts(browser: Browser, stage: Stage) -> None:
    stage.checks = []
    for column in stage.state["columns"]:
        column |= {"state": "insufficient", "reason": "too_few_rows", "drifted": None, "suspected_at_row": None}
    for condition in stage.state["conditions"]:
        condition["active"] = None
    stage.state |= {"evaluation": None, "prediction_drift": None, "episodes": [], "prediction_episodes": []}
    stage.state |= {"next_check_row": stage.state["totals"]["predictions"] + 10, "quality": None, "alerts": []}
    stage.state["waiting"] = {"reports": "the evaluator is starting since 2026-01-02T20:30:00.000000Z"}
    watched = Watched(browser, stage.url, "desktop")
    page = watched.page
    expect(page.locator("#verdict-title")).to_have_text("Collecting the first window")
    expect(page.locator("#verdict")).to_have_class("verdict waiting")
    expect(page.locator("#conditions")).to_contain_text("Known from the first check on.")
    expect(page.locator("#quiet-conditions")).to_be_hidden()
    expect(page.locator("[data-badge]").first).to_have_text("waiting for more records")
    expect(page.locator("#report-state")).to_contain_text("wait: the evaluator is starting since 2026-01-02")
    expect(page.locator("main")).not_to_contain_text("No drift")
    stage.state["next_check_row"] = stage.state["totals"]["predictions"]
    expect(page.locator("#verdict-text")).to_contain_text("the first check is due, and being made")
    assert watched.errors == []
    watched.close()


def nothing_found(stage: Stage) -> None:
    for column in stage.state["columns"]:
        column["drifted"] = False
    stage.state["prediction_drift"]["drifted"] = False
    for condition in stage.state["conditions"]:
        condition["active"] = False


def test_a_check_without_an_answer_is_no_calm_page(browser: Browser, stage: Stage) -> None:
    nothing_found(stage)
    stage.state["evaluation"] |= {"state": "failed", "fault": "the window could not be measured: ValueError"}
    watched = Watched(browser, stage.url, "desktop")
    expect(watched.page.locator("#verdict-title")).to_have_text("No verdict")
    expect(watched.page.locator("#verdict")).to_have_class("verdict waiting")
    watched.close()


@pytest.mark.parametrize(
    ("active", "title", "also"),
    [
        ([], "No drift", ""),
        ([("concept_drift", None)], "Concept drift", ""),
        ([("estimated_loss", None), ("realised_loss", None)], "Realised loss", "Also: Estimated loss. "),
        (
            [("missing", "age"), ("unseen", "age"), ("target_drift", None)],
            "1 of {n} columns broken",
            "Also: Target drift. ",
        ),
        ([("label_delay", None), ("stream_away", None)], "No drift", ""),
    ],
)
def test_no_page_says_no_drift_while_labels_or_data_say_otherwise(
    browser: Browser, stage: Stage, active: list[tuple[str, str | None]], title: str, also: str
) -> None:
    nothing_found(stage)
    stage.state["conditions"] += [
        {"name": name, "column": column, "active": True, "since": stage.state["at"], "value": 0.2, "threshold": 0.1}
        for name, column in active
    ]
    watched = Watched(browser, stage.url, "desktop")
    expect(watched.page.locator("#verdict-title")).to_have_text(title.format(n=len(stage.state["columns"])))
    expect(watched.page.locator("#verdict")).to_have_class("verdict calm" if title == "No drift" else "verdict drift")
    expect(watched.page.locator("#verdict-text")).to_have_text(re.compile(f"^{also}Last check at record "))
    assert watched.errors == []
    watched.close()


def test_what_else_is_wrong_stands_beside_drift(browser: Browser, stage: Stage) -> None:
    stage.state["conditions"] += [{"name": "concept_drift", "column": None, "active": True, "since": stage.state["at"]}]
    watched = Watched(browser, stage.url, "desktop")
    expect(watched.page.locator("#verdict-title")).to_contain_text("columns drift")
    expect(watched.page.locator("#verdict-text")).to_contain_text("Also: ")
    expect(watched.page.locator("#verdict-text")).to_contain_text("Concept drift")
    watched.close()


def test_a_moment_is_shown_in_the_viewers_zone_and_in_utc_when_pointed_at(browser: Browser, stage: Stage) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    stage.state["alerts"][0]["firing_since"] = "2026-01-02T20:30:00.000000Z"
    page.goto(stage.url)
    check_time = page.locator(".alert time").filter(has_text="05:30:00")
    expect(check_time).to_have_text("3 Jan 05:30:00")
    expect(check_time).to_have_attribute("title", "2026-01-02 20:30:00 UTC")
    context.close()


def test_the_focus_stays_on_a_button_while_the_list_around_it_is_renewed(browser: Browser, stage: Stage) -> None:
    watched = Watched(browser, stage.url, "desktop")
    button = watched.page.get_by_role("button", name="Silence: Age drifts")
    button.focus()
    stage.state["alerts"][1]["description"] = "Something else."
    expect(watched.page.locator("#alert-list")).to_contain_text("Something else.")
    expect(button).to_be_focused()
    watched.close()


def test_movement_is_left_out_for_those_who_asked_for_less(browser: Browser, stage: Stage) -> None:
    for wish, moves in (("reduce", False), ("no-preference", True)):
        context = browser.new_context(reduced_motion=wish)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(stage.url)
        seconds = page.locator("#verdict").evaluate("element => getComputedStyle(element).transitionDuration")
        assert (seconds != "0s") is moves
        context.close()


def test_many_alerts_leave_the_rest_of_the_page_in_reach(browser: Browser, stage: Stage) -> None:
    stage.state["alerts"] += [{**stage.state["alerts"][0], "id": f"b{number}"} for number in range(10)]
    watched = Watched(browser, stage.url, "phone")
    page = watched.page
    expect(page.locator("#alert-list > li")).to_have_count(4)
    more = page.get_by_text("10 more: 8 firing, 1 pending, 1 resolved")
    more.click()
    expect(page.locator("#more-alert-list > li").first).to_be_visible()
    stage.state["alerts"][0]["acknowledged_by"] = "Ada"
    expect(page.locator("#alerts").get_by_text("acknowledged by Ada")).to_have_count(1)
    expect(page.locator("#more-alert-list > li").first).to_be_visible()
    assert watched.does_not_scroll_sideways()
    watched.close()
