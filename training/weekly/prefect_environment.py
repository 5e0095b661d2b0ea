"""Environment variables for Prefect: no network but this machine, no telemetry, long start-up timeouts."""

from __future__ import annotations

import os
from pathlib import Path

#: Its own 20 s are not enough for a small machine that is busy.
_START_WITHIN_S = 300


def prepare_prefect(state_dir: Path) -> None:
    """Set what the environment doesn't set already; nothing of Prefect may have been imported before.

    Without PREFECT_API_URL a server of its own, with a database below ``state_dir``, lives as long as a run.
    """
    wanted = {
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str((state_dir / "prefect").resolve()),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(_START_WITHIN_S),
    }
    if api_url() is None:
        os.environ.pop("PREFECT_API_URL", None)  # empty, it would be taken for an address
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    # Its server can't make a folder in one that isn't there: it would end, and be started again without end.
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


def api_url() -> str | None:
    """The URL of Prefect's server, if one is set."""
    return os.environ.get("PREFECT_API_URL") or None
