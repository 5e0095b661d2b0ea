"""Slots: folders ``journals/NN`` with two file locks each, which say who writes and who relays a journal.

The server that writes a journal holds ``writer.lock``, the sidecar that relays it holds ``relay.lock``. The kernel
releases both when their process dies, so a replica that is gone leaves a journal that another sidecar picks up.
"""

from __future__ import annotations

import re
from pathlib import Path

from event_backbone.errors import StopError
from event_backbone.process.file_lock import HeldLock, try_lock

JOURNAL_FILE = "journal.sqlite"
RELAY_FILE = "relay.sqlite"
MAX_SLOTS = 100

_SLOT = re.compile(r"[0-9]{2}")


def claim_slot(journals_dir: Path) -> tuple[Path, HeldLock]:
    """The lowest slot that no other server writes, and the lock that keeps it.

    Raises:
        StopError: there is no free slot.
    """
    for number in range(MAX_SLOTS):
        slot = journals_dir / f"{number:02d}"
        lock = try_lock(slot / "writer.lock")
        if lock is not None:
            return slot, lock
    raise StopError(f"all {MAX_SLOTS} journal slots below {journals_dir} are taken")


def slots_with_a_journal(journals_dir: Path) -> list[Path]:
    if not journals_dir.is_dir():
        return []
    found = (path for path in journals_dir.iterdir() if _SLOT.fullmatch(path.name))
    return sorted(slot for slot in found if (slot / JOURNAL_FILE).is_file())
