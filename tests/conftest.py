"""What tests of every kind share: the real data, and champions trained on them, once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from real_parts import KafkaBroker, MongoServer, RealPart, Toxiproxy, remove_folder

ROOT = Path(__file__).parents[1]
AnyPart = TypeVar("AnyPart", bound=RealPart)


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
    for name in ("MLFLOW_TRACKING_URI", "TRAINING_SEED"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "training", "--case", case, "--data-dir", str(data_dir), "--if-needed"]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    return state_dir


def _digest_of_training() -> str:
    code = sorted([*(ROOT / "training").rglob("*.py"), *(ROOT / "event_backbone").glob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker that tests share and leave alone; a namespace of its own keeps a test apart."""
    given = os.environ.get("TEST_KAFKA_URL")
    if given:
        yield given
    else:
        with started(KafkaBroker(tmp_path_factory.mktemp("kafka"))) as broker:
            yield broker.url


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB that tests share and leave alone; a database of its own keeps a test apart."""
    given = os.environ.get("TEST_MONGO_URL")
    if given:
        yield given
    else:
        with started(MongoServer(tmp_path_factory.mktemp("mongo"))) as server:
            yield server.url


@pytest.fixture
def kafka_namespace() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def mongo_database() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that the tests of one module may kill; they leave it running."""
    with started(KafkaBroker(tmp_path_factory.mktemp("kafka"))) as broker:
        yield broker


@pytest.fixture(scope="module")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A MongoDB that the tests of one module may stop; they leave it running."""
    with started(MongoServer(tmp_path_factory.mktemp("mongo"))) as server:
        yield server


@pytest.fixture(scope="module")
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
