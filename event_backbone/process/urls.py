"""URLs as they may be shown and logged."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"//[^/\s]*@")
_OPTIONS = re.compile(r"[?#]")


def without_login(url: str) -> str:
    """A URL without what may hold a secret: nothing before the hosts, no options, no fragment."""
    return _OPTIONS.split(without_logins(url), maxsplit=1)[0]


def without_logins(text: str) -> str:
    """A text in which URLs may stand, without their logins."""
    return _LOGIN.sub("//", text)
