"""The frame of every command line: errors as one clear line and an exit code, files for their owner alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from event_backbone.errors import SettingsError, StreamgaugeError

EXIT_FAILED = 1
EXIT_SETTINGS = 2
#: What is kept, below ``STATE_DIR`` and beside it, holds records: nobody but its owner may read it.
_OWNER_ALONE = 0o077


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run ``command``; our own errors end the process with their text on stderr: 2 for settings, 1 for the rest.

    Files and folders that it makes, and its child processes, can be read by their owner alone.
    """
    permitted = os.umask(_OWNER_ALONE)
    try:
        command()
    except StreamgaugeError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_FAILED)
    finally:
        os.umask(permitted)
