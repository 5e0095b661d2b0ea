"""The form of a service that asks for an API key, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect
from prediction_process import running
from prediction_world import made_record

from event_backbone.guards.api_keys import line_for

KEY = "the-one-good-key"


def test_the_form_asks_for_the_key_with_every_prediction(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "api-keys").write_text(line_for("tests", KEY) + "\n")
    record = {name: "" if value is None else str(value) for name, value in made_record(leaves=80).items()}
    with running(tmp_path, API_KEYS_FILE=str(tmp_path / "api-keys")) as server:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(server.url)
        for name, value in record.items():
            page.locator(f"[name={name}]").fill(value)
        page.get_by_label("API key").fill("not-this-one")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_text("The API key is not one that this service knows.")).to_be_visible()
        expect(page.get_by_label("API key")).to_be_focused()
        expect(page.get_by_label("API key")).to_have_value("")
        expect(page.locator("[name=leaves]")).to_have_value("80")
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#answer .prediction")).to_have_text("yes")
        expect(page.get_by_label("API key")).to_have_value("")
        assert KEY not in page.content()
        widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1]
        page.close()
