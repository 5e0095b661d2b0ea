"""The form in a real browser, at desktop and phone width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import poll_until
from playwright.sync_api import Browser, Locator, Page, expect
from prediction_process import PredictionProcess, running
from prediction_world import COLUMNS, made_record, made_score

CASES_DIR = Path(__file__).parents[2] / "cases"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
NAMES = [column["name"] for column in COLUMNS]
GOOD = {name: "" if value is None else str(value) for name, value in made_record(leaves=80, neighbour=None).items()}
BAD = {"leaves": "many", "height": "999", "soil": ""}
FAULTS = {
    "leaves": "Leaves must be a number.",
    "height": "Height must be at most 250.25.",
    "soil": "Soil is missing.",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    with running(tmp_path_factory.mktemp("server")) as process:
        yield process


class Form:
    """The page as a person meets it; whatever must not happen on it is noted."""

    def __init__(self, browser: Browser, url: str, width: str, scheme: str = "light") -> None:
        wide, high = WIDTHS[width]
        self._context = browser.new_context(
            viewport={"width": wide, "height": high},
            color_scheme="dark" if scheme == "dark" else "light",
            has_touch=width == "phone",
        )
        self.page: Page = self._context.new_page()
        self.trouble: list[str] = []
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("request", lambda request: self.trouble.extend([request.url] * (not request.url.startswith(url))))
        self.page.goto(url)

    def _note(self, kind: str, text: str) -> None:
        # Chromium reports the status of a page that is meant to be a 422.
        if kind == "error" and "status of 4" not in text and "status of 503" not in text:
            self.trouble.append(text)

    def fill(self, **values: str) -> None:
        for name, value in {**GOOD, **values}.items():
            self.input(name).fill(value)

    def predict(self) -> None:
        with self.page.expect_navigation():  # until it is loaded: its text can be there before its styles
            self.page.get_by_role("button", name="Predict").click()

    def input(self, name: str) -> Locator:
        return self.page.locator(f"input[name={name}]")

    @property
    def answer(self) -> Locator:
        return self.page.get_by_role("status")

    def too_wide(self) -> list[str]:
        """What stands out to the right of the window, or makes the page scroll sideways."""
        return self.page.evaluate(
            """() => {
                const wide = document.documentElement.clientWidth;
                const out = [...document.body.querySelectorAll("*")]
                    .filter(element => element.getBoundingClientRect().right > wide + 0.5)
                    .map(element => element.outerHTML.slice(0, 80));
                return document.documentElement.scrollWidth > wide ? ["the page scrolls", ...out] : out;
            }"""
        )

    def close(self) -> None:
        self._context.close()


@pytest.fixture(params=WIDTHS)
def form(request: pytest.FixtureRequest, browser: Browser, server: PredictionProcess) -> Iterator[Form]:
    opened = Form(browser, server.url, request.param)
    yield opened
    opened.close()
    assert opened.trouble == []


def predictions(server: PredictionProcess) -> int:
    return int(server.status()["journal"]["predictions"])


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return dict(found)


# Predicting -----------------------------------------------------------------------------------------------------------


def test_a_person_fills_in_the_form_and_reads_the_prediction(form: Form, server: PredictionProcess) -> None:
    before = predictions(server)
    form.fill()
    form.predict()
    expect(form.answer).to_contain_text("Flowers")
    expect(form.answer).to_contain_text("yes")
    expect(form.answer).to_contain_text("80.0% probability of yes")
    expect(form.answer).to_contain_text("streamgauge-garden version 7")
    expect(form.answer).to_be_in_viewport()
    assert predictions(server) == before + 1
    record_id = form.answer.locator("code").inner_text()
    stored = server.send("GET", f"/predictions/{record_id}").json()
    assert stored["record"] == made_record(leaves=80, neighbour=None)
    assert stored["score"] == pytest.approx(made_score(stored["record"]), abs=1e-6)


def test_what_was_typed_stays_for_the_next_try(form: Form) -> None:
    form.fill()
    form.predict()
    expect(form.answer).to_contain_text("80.0%")
    for name, value in GOOD.items():
        expect(form.input(name)).to_have_value(value)
    form.input("leaves").fill("20")
    form.predict()
    expect(form.answer).to_contain_text("20.0% probability of yes")


def test_the_answer_takes_the_focus_so_that_it_is_read_out(form: Form) -> None:
    form.fill()
    form.predict()
    expect(form.answer).to_be_focused()


# Faults ---------------------------------------------------------------------------------------------------------------


def test_faults_stand_beside_their_fields_and_the_first_has_the_focus(form: Form, server: PredictionProcess) -> None:
    before = predictions(server)
    form.fill(**BAD)
    form.predict()
    expect(form.answer).to_contain_text("The record has 3 faults; nothing was stored.")
    for name, message in FAULTS.items():
        fault = form.page.get_by_text(message, exact=True)
        expect(fault).to_be_visible()
        field, beside = box(form.input(name)), box(fault)
        assert abs(field["x"] - beside["x"]) < 2
        assert 0 <= beside["y"] - (field["y"] + field["height"]) < 20
        expect(form.input(name)).to_have_attribute("aria-invalid", "true")
        expect(form.input(name)).to_have_value(BAD[name])
    assert form.page.locator(".fault").count() == len(FAULTS)
    expect(form.input("leaves")).to_be_focused()
    assert predictions(server) == before


def test_mended_faults_are_gone(form: Form) -> None:
    form.fill(**BAD)
    form.predict()
    expect(form.page.locator(".fault")).to_have_count(3)
    form.fill()
    form.predict()
    expect(form.answer).to_contain_text("80.0%")
    expect(form.page.locator(".fault")).to_have_count(0)


# Keyboard and width ---------------------------------------------------------------------------------------------------


def test_the_keyboard_alone_is_enough(form: Form) -> None:
    focused: list[str] = []
    form.input(NAMES[0]).focus()
    for name in NAMES:
        focused.append(str(form.page.evaluate("document.activeElement.name")))
        form.page.keyboard.type(GOOD[name])
        form.page.keyboard.press("Escape")  # closes the list of categories
        form.page.keyboard.press("Tab")
    assert focused == NAMES
    expect(form.page.get_by_role("button", name="Predict")).to_be_focused()
    form.page.keyboard.press("Enter")
    expect(form.answer).to_contain_text("80.0% probability of yes")


def test_enter_in_any_field_predicts(form: Form) -> None:
    form.fill()
    form.input("height").press("Enter")
    expect(form.answer).to_contain_text("80.0% probability of yes")


def test_every_link_and_field_can_be_reached_with_tab(form: Form) -> None:
    reached = []
    for _ in range(3 + len(NAMES) + 1):
        form.page.keyboard.press("Tab")
        reached.append(form.page.evaluate("document.activeElement.name || document.activeElement.innerText"))
    assert reached == ["API", "Status", "Metrics", *NAMES, "Predict"]
    assert form.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(
    "values", [{}, {"leaves": "80"}, BAD, {"soil": "x" * 300}], ids=["empty", "one", "bad", "long"]
)
def test_nothing_is_wider_than_the_window(form: Form, values: dict[str, str]) -> None:
    if values:
        form.fill(**values)
        form.predict()
        expect(form.answer).to_be_visible()
    assert form.too_wide() == []


def test_what_a_finger_must_hit_is_large_enough(form: Form) -> None:
    for target in [*(form.input(name) for name in NAMES), form.page.get_by_role("button", name="Predict")]:
        assert box(target)["height"] >= 44


def test_a_list_offers_the_usual_categories(form: Form) -> None:
    list_id = form.input("soil").get_attribute("list")
    options = form.page.locator(f"#{list_id} option")
    assert [options.nth(index).get_attribute("value") for index in range(options.count())] == ["clay", "loam", "sand"]


# The shipped cases ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["census", "housing"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    """A server of a shipped case before its first champion."""
    folder = tmp_path_factory.mktemp(request.param)
    process = PredictionProcess(folder, CASE=request.param, CASES_DIR=str(CASES_DIR), STATE_DIR=str(folder / "state"))
    process.launch()
    try:
        poll_until(lambda: requests.get(f"{process.url}/livez", timeout=1).ok, 20)
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.long),
        pytest.param("phone", "light", marks=pytest.mark.long),
    ],
)
def test_the_form_of_a_shipped_case_fits_and_names_its_faults(
    browser: Browser, shipped: PredictionProcess, width: str, scheme: str
) -> None:
    form = Form(browser, shipped.url, width, scheme)
    try:
        assert form.too_wide() == []
        form.predict()
        expect(form.answer).to_contain_text("nothing was stored")
        required = form.page.locator("input[aria-required=true]").count()
        expect(form.page.locator(".fault")).to_have_count(required)
        assert form.too_wide() == []
        assert contrast_of(form, ".fault") >= 4.5
        assert contrast_of(form, ".help") >= 4.5
    finally:
        form.close()
    assert form.trouble == []


def contrast_of(form: Form, selector: str) -> float:
    """WCAG 2.1's contrast between a text and the paper of the form (https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio)."""
    form.page.wait_for_load_state()
    colours: Any = form.page.evaluate(
        """selector => [[selector, "color"], ["form", "backgroundColor"]].map(([where, what]) =>
            getComputedStyle(document.querySelector(where))[what].match(/\\d+/g).slice(0, 3).map(Number))""",
        selector,
    )
    lighter, darker = sorted((luminance(colour) for colour in colours), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[int]) -> float:
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
