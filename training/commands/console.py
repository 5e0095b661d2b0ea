"""The console that commands print to."""

from __future__ import annotations

import sys

from rich.console import Console


def open_console() -> Console:
    """No markup in paths and numbers; a pipe has no width, and gets one that needs no wrapping."""
    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False, markup=False, soft_wrap=True)
