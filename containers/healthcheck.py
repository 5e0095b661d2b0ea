"""Is this container's service well? Ends with 0 or 1, for the health checks of docker-compose.yml.

Standard library only, because it starts every few seconds in every image of ours::

    python healthcheck.py answers http://127.0.0.1:9696/readyz
    python healthcheck.py relayed /var/lib/streamgauge-run/journals
    python healthcheck.py connected 9696
"""

from __future__ import annotations

import fcntl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

TIMEOUT_S = 4.0
_ESTABLISHED = "01"


def answers(url: str) -> str | None:
    """Why GET is not answered with 200, ``None`` when it is."""
    # A proxy that is meant for the internet has no business here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            return None if response.status == 200 else f"answered {response.status}"
    except urllib.error.HTTPError as error:
        return f"answered {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def relayed(journals_dir: str) -> str | None:
    """Which journals nobody relays, ``None`` when there are none: whoever relays one holds a lock on it."""
    idle = [slot.parent.name for slot in sorted(Path(journals_dir).glob("*/journal.sqlite")) if not _is_held(slot)]
    return f"nobody relays {', '.join(idle)}" if idle else None


def _is_held(journal: Path) -> bool:
    lock = journal.with_name("relay.lock")
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def connected(port: str, tables: tuple[str, ...] = ("/proc/net/tcp", "/proc/net/tcp6")) -> str | None:
    """``None`` when some process of this container holds a connection to that port of somebody else."""
    wanted = f":{int(port):04X}"
    for table in tables:
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            _number, _local, remote, state, *_ = line.split()
            if remote.endswith(wanted) and state == _ESTABLISHED:
                return None
    return f"no connection to port {port}"


CHECKS: Mapping[str, Callable[[str], str | None]] = {"answers": answers, "relayed": relayed, "connected": connected}


def main(arguments: list[str]) -> int:
    name, argument = arguments
    fault = CHECKS[name](argument)
    if fault is not None:
        sys.stderr.write(f"{fault}\n")
    return int(fault is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
