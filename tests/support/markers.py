"""Harmless texts that show where a page, a table or a line takes a value for more than text.

None of them does anything but leave an element with ``data-marker``, set ``window.markerRan`` or point to a host that
can't exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from monitoring_world import case_content
from playwright.sync_api import Browser, Page, Route

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case

MARKERS = (
    '<b data-marker="element">bold</b>',
    '<img data-marker="picture" src="data:,">',
    '</script><script>window.markerRan = "script"</script>',
    '"><i data-marker="after an attribute">',
    "' data-marker='attribute' x='",
    '--><u data-marker="after a comment">',
    '<a data-marker="link" href="https://elsewhere.invalid/">link</a>',
    "[marker](https://elsewhere.invalid/) ![marker](https://elsewhere.invalid/p.png)",
    "&lt;b data-marker=entity&gt;&#60;i data-marker=entity&#62;",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} $\\marker{$",
    "**marker** _marker_ `marker` ~~marker~~ | marker |",
    '=HYPERLINK("https://elsewhere.invalid/")',
)
#: As much as fits into a sentence of a case file.
SHORT = " ".join(MARKERS[:6])
ALL = " ".join(MARKERS)
#: What ends a line, moves the cursor, colours, or turns the direction of what follows.
UNSEEN = "one\ntwo\r\x1b[31mred\x1b[0m\x07\u2028three\u202eruof"

_FOUND = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const made = all('[data-marker], [*|href*="elsewhere.invalid"], [src*="elsewhere.invalid"]');
  const drawn = all("em, strong, code, del, td, th").filter((one) => one.textContent.trim() === "marker");
  return { elements: [...made, ...drawn].map((one) => one.outerHTML.slice(0, 200)), ran: window.markerRan ?? null };
}"""


def marked_case(*, positive: str = MARKERS[0], task: str = "binary") -> Case:
    """The made case with a marker wherever a case file takes a text of one's own."""
    content = case_content(quality={"minimum_labelled_rows": 50}, segments=["payment"])
    content |= {"title": SHORT, "description": MARKERS[7] + SHORT, "task": task}
    content["data"]["citation"] = SHORT
    content["target"] = {"name": "returned", "title": SHORT, "positive": positive, "negative": "no"}
    if task == "regression":
        content["target"] = {"name": "returned", "title": SHORT, "unit": SHORT}
    for column in content["columns"]:
        column |= {"title": f"{column['name']} {SHORT}", "help": MARKERS[7] + SHORT}
        if column["kind"] == "category":
            column |= {"valid": {"max_length": 1000}, "expected": {"categories": ["card", *MARKERS]}}
        else:
            column["unit"] = SHORT
    return case_from_dict(content, subject="marked case")


def marked(document: Any, keys: Iterable[str]) -> Any:
    """The same document with all markers behind each text under one of these keys, at any depth."""
    if isinstance(document, list):
        return [marked(one, keys) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        key: f"{value} {ALL}" if key in keys and isinstance(value, str | None) else marked(value, keys)
        for key, value in document.items()
    }


class MarkedPage:
    """A page with markers in a real browser, with whatever left it."""

    def __init__(self, browser: Browser, *, own: Iterable[str] = ()) -> None:
        self._own = (*own, "data:", "blob:", "about:")
        self._context = browser.new_context()
        self.left: list[str] = []
        # Asked of the network itself: a request that the page's policy stops never comes here.
        self._context.route(lambda url: not url.startswith(self._own), self._note)
        self.page: Page = self._context.new_page()
        self.page.on("popup", lambda popup: self.left.append(f"a window: {popup.url}"))
        self.page.on("dialog", lambda dialog: self.left.append(f"a dialog: {dialog.message}"))

    def _note(self, route: Route) -> None:
        self.left.append(route.request.url)
        route.fulfill(body="elsewhere")

    def open(self, url: str) -> Page:
        place = urlsplit(url)
        self._own = (*self._own, f"{place.scheme}://{place.netloc}/")
        self.page.goto(url)
        return self.page

    def found(self) -> dict[str, Any]:
        """Elements of markers, and which script of one ran."""
        found: dict[str, Any] = self.page.evaluate(_FOUND)
        return found

    def holds_text_only(self) -> None:
        """Fails unless markers are on the page as text and as nothing else."""
        assert self.found() == {"elements": [], "ran": None}
        assert self.left == []
        shown = self.page.evaluate(
            "() => document.documentElement.textContent + [...document.querySelectorAll('input, option, [title]')]"
            ".map((one) => one.value ?? one.title).join()"
        )
        assert "data-marker" in shown, "the page shows no marker at all"

    def close(self) -> None:
        self._context.close()
