"""The error handling of every command line: one clear line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from event_backbone.errors import SettingsError, StreamgaugeError
from event_backbone.formats.visible_text import visible

EXIT_FAILED = 1
EXIT_SETTINGS = 2


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run ``command``; our own errors end the process with their text on stderr: 2 for settings, 1 for the rest."""
    try:
        command()
    except StreamgaugeError as error:
        # What a file or a service said may be in it: its lines are ours, and a terminal obeys none of it.
        click.echo(f"{name}: " + "\n".join(map(visible, str(error).split("\n"))), err=True)
        sys.exit(EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_FAILED)
