"""A page in a real browser, and everything that must not have happened on it."""

from __future__ import annotations

from playwright.sync_api import Browser, Page

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


class Watched:
    """Opens ``url``; :attr:`errors` of scripts and console, and requests to :attr:`elsewhere`, should stay empty."""

    def __init__(self, browser: Browser, url: str, width: str, theme: str = "light") -> None:
        wide, high = WIDTHS[width]
        self._context = browser.new_context(
            viewport={"width": wide, "height": high}, color_scheme="dark" if theme == "dark" else "light"
        )
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on(
            "request", lambda request: None if request.url.startswith(url) else self.elsewhere.append(request.url)
        )
        self.page.goto(url)

    def does_not_scroll_sideways(self) -> bool:
        widths = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        return bool(widths[0] <= widths[1])

    def close(self) -> None:
        self._context.close()
