"""The real cases with small splits and their synthetic samples, so that a whole run of the flow takes seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SMALL = {
    "census": {"train": 4000, "test": 1000, "split": {"fit_and_validation": 2000, "reference": 600, "gate_rows": 600}},
    "housing": {"train": 4000, "split": {"fit_and_validation": 1800, "reference": 500, "gate_rows": 500}},
}


def write_small_cases(folder: Path) -> Path:
    """A folder of case files whose raw files would be small, with the samples and expectations they go with."""
    shutil.copytree(ROOT / "cases", folder)
    for name, sizes in SMALL.items():
        path = folder / f"{name}.yaml"
        content: dict[str, Any] = yaml.safe_load(path.read_text())
        for file in content["data"]["files"]:
            file["rows"] = sizes[file["role"]]
        content["data"]["split"].update(sizes["split"])
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return folder


def environment_of(folder: Path, **settings: str) -> dict[str, str]:
    """For commands that keep everything below ``folder`` and know no server, unless ``settings`` name one."""
    own = {"CASES_DIR": str(folder / "cases"), "STATE_DIR": str(folder / "state")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **own, **settings}


def train_model(
    *arguments: str, environment: dict[str, str], timeout_s: float = 280
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; when it takes too long it goes, with the server that Prefect started for it."""
    command = [sys.executable, "-m", "training", *arguments]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
