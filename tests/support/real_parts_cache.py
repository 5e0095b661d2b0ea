"""Downloads of the real parts: pinned, once for a machine, kept outside the checkout.

They lie in ``$XDG_CACHE_HOME/streamgauge/parts`` (``~/.cache`` without it) in folders named after what was asked for,
so that a changed pin is another folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from callers_environment import CALLERS_ENVIRONMENT

PARTS_DIR = Path(__file__).parents[1] / "parts"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
DOWNLOAD_TIMEOUT_S = 600


def part_or_skip(*commands: str) -> None:
    """Go on when the machine has these commands; else skip, or fail where REQUIRE_SERVICES=1 says that it must."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        give_up(f"needs {' and '.join(missing)}")


def give_up(reason: str) -> None:
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def java_classpath() -> str:
    """Jars of the Kafka broker and of the MongoDB wire server, and what they need."""
    part_or_skip("java", "mvn")
    pom = PARTS_DIR / "pom.xml"
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]

    def fetch(folder: Path) -> None:
        _run("mvn", "-B", "-q", "-f", str(pom), MAVEN_GOAL, f"-DoutputDirectory={folder}")

    return f"{_kept(f'jars-{digest}', fetch)}/*"


def toxiproxy_binary() -> Path:
    part_or_skip("go")
    version = TOXIPROXY.rpartition("@")[2]
    return _kept(f"toxiproxy-{version}", lambda folder: _run("go", "install", TOXIPROXY, GOBIN=str(folder))) / "server"


def go_program(name: str) -> Path:
    """The program whose source stands in the folder of that name beside the other parts."""
    part_or_skip("go")
    source = PARTS_DIR / name
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:12]

    def build(folder: Path) -> None:
        _run("go", "build", "-C", str(source), "-o", str(folder / name), ".")

    return _kept(f"{name}-{digest}", build) / name


def _kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of that name; ``fetch`` fills it when it is not there, one process at a time, all of it or nothing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge" / "parts"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / name
    with _locked(cache / f"{name}.lock"):
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as unfinished:
                fetch(Path(unfinished) / name)
                (Path(unfinished) / name).rename(kept)
    return kept


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str, **environment: str) -> None:
    ended = subprocess.run(
        command,
        env={**CALLERS_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_TIMEOUT_S,
        check=False,
    )
    if ended.returncode:
        give_up(f"{' '.join(command)} failed: {(ended.stdout + ended.stderr)[-1000:]}")
