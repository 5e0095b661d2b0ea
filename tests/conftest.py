"""What tests of every kind share: the real data, champions trained on them, once, and the real parts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from callers_environment import environment_of_nobody
from hypothesis import settings
from monitoring_process import PATIENCE
from real_parts import KafkaBroker, MongoServer, RealPart, Toxiproxy, remove_folder
from shared_parts import AskedParts, KeptParts, SharedParts

from tests.selection import COLLECTED

ROOT = Path(__file__).parents[1]
AnyPart = TypeVar("AnyPart", bound=RealPart)
SHARED_PARTS = pytest.StashKey[SharedParts]()


def pytest_configure(config: pytest.Config) -> None:
    told: dict[str, str] = getattr(config, "workerinput", {})
    if "shared_parts" in told:
        config.stash[SHARED_PARTS] = AskedParts(told["shared_parts"])
    else:
        config.stash[SHARED_PARTS] = kept = KeptParts()
        config.add_cleanup(kept.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of pytest-xdist: what a worker is told when it starts."""
    kept = node.config.stash[SHARED_PARTS]
    assert isinstance(kept, KeptParts)
    node.workerinput["shared_parts"] = kept.address


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COLLECTED] = list(items)
    for item in items:
        limit = item.get_closest_marker("timeout")
        if limit:
            item.add_marker(pytest.mark.timeout(limit.args[0] * PATIENCE), append=False)


pytest_plugins = ["loopback_only"]

# A test that others run beside may take longer; what is measured in time is measured by the benchmarks.
settings.register_profile("side by side", deadline=None)
settings.load_profile("side by side")


@pytest.fixture(scope="session", autouse=True)
def _environment_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with environment_of_nobody(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("home")):
        yield


def real_data_dir(case: str) -> Path:
    """Folder of a case's real files: below TEST_DATA_DIR, or beside the checkout.

    Without it a test is skipped, or fails where REQUIRE_DATA=1 says that it has to be there.
    """
    folder = Path(os.environ.get("TEST_DATA_DIR") or ROOT.parent / "shared" / "data") / case
    if not folder.is_dir():
        reason = f"no real data in {folder}; TEST_DATA_DIR names the folder that holds {case}/"
        if os.environ.get("REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder.resolve()


@pytest.fixture(scope="session")
def census_data_dir() -> Path:
    return real_data_dir("census")


@pytest.fixture(scope="session")
def housing_data_dir() -> Path:
    return real_data_dir("housing")


@pytest.fixture(scope="session")
def census_champion_state(census_data_dir: Path, pytestconfig: pytest.Config) -> Path:
    """A STATE_DIR with a census champion trained on the real files. It is shared: copy it before writing to it."""
    return _champion_state("census", census_data_dir, pytestconfig)


@pytest.fixture(scope="session")
def housing_champion_state(housing_data_dir: Path, pytestconfig: pytest.Config) -> Path:
    """The same for housing."""
    return _champion_state("housing", housing_data_dir, pytestconfig)


def _champion_state(case: str, data_dir: Path, config: pytest.Config) -> Path:
    """Train with the command people use; a state that the same code made in an earlier session serves again."""
    assert config.cache is not None, "run without -p no:cacheprovider: champions are kept in pytest's cache"
    state_dir = config.cache.mkdir(f"champion-{_digest_of_training()}")
    environment = {**os.environ, "STATE_DIR": str(state_dir), "CASES_DIR": str(ROOT / "cases")}
    command = [sys.executable, "-m", "training", "--case", case, "--data-dir", str(data_dir), "--if-needed"]
    with (state_dir / f"{case}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker trains, the others wait for it
        ended = subprocess.run(
            command, env=environment, cwd=state_dir, capture_output=True, text=True, timeout=280 * PATIENCE, check=False
        )
    assert ended.returncode == 0, ended.stderr
    return state_dir


def _digest_of_training() -> str:
    code = sorted([*(ROOT / "training").rglob("*.py"), *(ROOT / "event_backbone").rglob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]


@pytest.fixture(scope="session")
def kafka_url(pytestconfig: pytest.Config) -> str:
    """A broker that tests share and leave alone; a namespace of its own keeps a test apart."""
    return os.environ.get("TEST_KAFKA_URL") or pytestconfig.stash[SHARED_PARTS].url_of("kafka")


@pytest.fixture(scope="session")
def mongo_url(pytestconfig: pytest.Config) -> str:
    """A MongoDB that tests share and leave alone; a database of its own keeps a test apart."""
    return os.environ.get("TEST_MONGO_URL") or pytestconfig.stash[SHARED_PARTS].url_of("mongo")


@pytest.fixture
def kafka_namespace() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def mongo_database() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that tests may kill, one after the other; they leave it running."""
    with started(KafkaBroker(tmp_path_factory.mktemp("kafka"))) as broker:
        yield broker


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A MongoDB that tests may stop, one after the other; they leave it running."""
    with started(MongoServer(tmp_path_factory.mktemp("mongo"))) as server:
        yield server


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    with started(Toxiproxy(tmp_path_factory.mktemp("toxiproxy"))) as proxies:
        yield proxies


@contextlib.contextmanager
def started(part: AnyPart) -> Iterator[AnyPart]:
    try:
        part.start()
        yield part
    finally:
        remove_folder(part)
