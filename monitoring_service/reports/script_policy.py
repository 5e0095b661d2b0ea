"""A report's Content-Security-Policy: none but Evidently's own scripts run, each known by its digest.

The digests are taken when the report is made and stand at its very beginning, so the file is as safe when it is opened
from a disk, and the server finds them without reading the rest. See ``docs/adr/0019-what-a-page-may-do.md``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

#: Evidently 0.7: the data, a name for the global object, the library, and the call that draws.
SCRIPTS = 4
_BEGIN, _END = (re.compile(rf"<{name}\b", re.IGNORECASE) for name in ("script", "/script"))
_HEAD = "<head>\n"
_META = '<meta http-equiv="Content-Security-Policy" content="{}">\n'
_WRITTEN = re.compile(re.escape(_HEAD) + re.escape(_META).replace(re.escape("{}"), r"([\w ':;/+=-]+)"))
#: Nothing but the beginning of Evidently's page stands before it.
_BEGINNING_BYTES = 1024
_REST = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
#: No origin, no window of its own, no form, no navigation of others; and, without a list, no script.
_SANDBOX = f"sandbox allow-scripts; {_REST}; frame-ancestors 'none'"


class ForeignScriptError(Exception):
    """The page has other scripts than Evidently writes, so one of them may be a value's."""


def with_script_policy(page: str) -> str:
    """Evidently's page with the list of its scripts. Raises :class:`ForeignScriptError`."""
    scripts = list(_scripts_in(page))
    if len(scripts) != SCRIPTS:
        raise ForeignScriptError(f"{len(scripts)} scripts instead of {SCRIPTS}")
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    before, head, rest = page.partition("<head>")
    return f"{before}{head}\n{_META.format(f'script-src {digests}; {_REST}')}{rest}"


def _scripts_in(page: str) -> Iterator[str]:
    """One tag after the other: an expression for both would begin anew at each tag that nothing ends."""
    end = 0
    while begin := _BEGIN.search(page, end):
        start = page.find(">", begin.end()) + 1
        last = _END.search(page, start) if start else None
        end = page.find(">", last.end()) + 1 if last else 0
        if last is None or not end:
            return
        yield page[start : last.start()]


def policy_of(path: Path) -> str:
    """The header for a report; one that has no list, of an earlier version, is shown without its scripts."""
    with path.open("rb") as file:
        written = _WRITTEN.search(file.read(_BEGINNING_BYTES).decode(errors="replace"))
    return f"{_SANDBOX}; {written[1].partition(';')[0]}" if written else _SANDBOX


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
