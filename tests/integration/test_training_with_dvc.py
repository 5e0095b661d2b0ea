"""`dvc repro` on a made case: once everything, then nothing, then what a parameter changes, and the same again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from training_world import RawFiles, made_case

ROOT = Path(__file__).parents[2]
COMMANDS = Path(sys.executable).parent
STAGES = ["retrieve", "validate", "transform", "train", "evaluate", "register"]
TIMEOUT_S = 280

pytestmark = pytest.mark.long


class Checkout:
    """A git repository with the pipeline of this one and a case of its own."""

    def __init__(self, root: Path, raw: Path) -> None:
        self.root = root
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, root)
        for name in ("training", "event_backbone"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        (root / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, root / ".dvc")
        (root / ".gitignore").write_text("var/\n")
        (root / "cases").mkdir()
        (root / "cases" / "fruit.yaml").write_text(yaml.safe_dump(made_case().model_dump(mode="json")))
        (root / "cases" / "fruit.expectations.yaml").write_text("expectations: []\n")
        self.set()
        # Nothing of this machine's git and DVC settings, and no way out.
        self._environment = {
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "HOME": str(root.parent),
            "DATA_DIR": str(raw),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_SITE_CACHE_DIR": str(root.parent / "site"),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
        }
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")

    def set(self, **changed: Any) -> None:
        parameters = yaml.safe_load((ROOT / "params.yaml").read_text())["cases"]["census"]
        (self.root / "params.yaml").write_text(yaml.safe_dump({"cases": {"fruit": {**parameters, **changed}}}))

    def run(self, *command: str) -> str:
        how: dict[str, Any] = {"cwd": self.root, "env": self._environment, "timeout": TIMEOUT_S}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *options: str) -> list[str]:
        """The stages that ran, in their order."""
        return re.findall(r"Running stage '(\w+)@fruit'", self.run("dvc", "repro", *options))

    def metrics(self) -> Mapping[str, Any]:
        found = json.loads(self.run("dvc", "metrics", "show", "--json"))
        metrics: Mapping[str, Any] = found[""]["data"]["var/fruit/pipeline/metrics.json"]["data"]
        return metrics


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("dvc")
    (folder / "checkout").mkdir()
    return Checkout(folder / "checkout", RawFiles().write(folder / "raw"))


@pytest.fixture(scope="module")
def first(checkout: Checkout) -> list[str]:
    """The stages that ran the first time."""
    return checkout.repro()


def test_every_stage_runs_the_first_time_and_none_the_second(checkout: Checkout, first: list[str]) -> None:
    assert first == STAGES
    assert checkout.repro() == []
    # Git sees the lock file and nothing else: what stages leave is DVC's.
    assert checkout.run("git", "ls-files", "--others", "--exclude-standard") == "dvc.lock\n"


def test_a_parameter_runs_what_depends_on_it_and_its_old_value_gives_the_old_metrics(
    checkout: Checkout, first: list[str]
) -> None:
    before = checkout.metrics()
    checkout.set(eta=0.3)
    assert checkout.repro() == ["train", "evaluate", "register"]
    assert checkout.metrics()["test"]["log_loss"] != before["test"]["log_loss"]
    checkout.set()
    # Neither what DVC kept of the first run nor what lies there is used.
    assert checkout.repro("--force", "--no-run-cache", "evaluate@fruit") == STAGES[:-1]
    for part in ("test", "validation"):
        assert checkout.metrics()[part] == pytest.approx(before[part], rel=1e-9, abs=1e-9)


def test_bad_data_stop_at_validate(checkout: Checkout, first: list[str]) -> None:
    raw = Path(checkout._environment["DATA_DIR"])
    (raw / "fruit.test").write_bytes(b"")
    failed = r"fruit\.test, \(file\): is empty(.|\n)*failed to reproduce 'validate@fruit'"
    with pytest.raises(AssertionError, match=failed):
        checkout.repro("--force", "validate@fruit")
