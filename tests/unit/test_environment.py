"""What the environment must hold besides what is imported by name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from real_parts_cache import part_or_skip

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()

#: Those that we say we run on, oldest first.
PYTHONS = [
    line.removeprefix("Programming Language :: Python :: ") for line in PROJECT["classifiers"] if ":: Python" in line
]


def packages_locked_for(python: str) -> Counter[str]:
    """How often the lock pins each package on Linux with that Python."""
    here = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    pins = [Requirement(line) for line in re.findall(r"^[^\s#-].*==.*?(?= \\$)", LOCK, re.MULTILINE)]
    return Counter(canonicalize_name(pin.name) for pin in pins if pin.marker is None or pin.marker.evaluate(here))


def test_kafka_computes_checksums_in_c() -> None:
    """Without crc32c kafka-python falls back to Python, says nothing, and publishes at a third of the speed."""
    from kafka.record import util

    assert util.crc32c_c is not None
    assert util.calc_crc32c(memoryview(b"123456789")) == 0xE3069283


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_kafka_reads_what_others_compress(codec: str) -> None:
    """kafka-python has all but gzip from packages of their own; without one, a batch can't be read at all."""
    from kafka import codec as codecs

    packed = getattr(codecs, f"{codec}_encode")(b"a record" * 100)
    assert getattr(codecs, f"{codec}_decode")(packed) == b"a record" * 100


@pytest.mark.parametrize("extra", ["prediction", "monitoring", "generator"])
def test_every_service_that_reads_kafka_asks_for_the_codecs(extra: str) -> None:
    wanted = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    (kafka,) = [one for one in wanted if canonicalize_name(one.name) == "kafka-python"]
    assert kafka.extras == {"crc32c", "lz4", "snappy", "zstd"}
    lock = (ROOT / "containers" / "locks" / f"{extra}.lock").read_text()
    assert all(re.search(rf"^{name}==", lock, re.MULTILINE) for name in ("lz4", "python-snappy", "zstandard"))


def test_make_takes_the_newest_of_the_pythons_that_the_package_names() -> None:
    found = re.search(r"^PYTHONS := (.+)$", MAKEFILE, re.MULTILINE)
    assert found is not None
    assert found[1].split() == [f"python{version}" for version in reversed(PYTHONS)]


def test_every_tool_knows_the_oldest_python() -> None:
    oldest = PYTHONS[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert set(re.findall(r"--python-version (\S+)", MAKEFILE)) == {oldest}
    assert set(re.findall(r"sys\.version_info < \((\d+, \d+)\)", MAKEFILE)) == {oldest.replace(".", ", ")}


@pytest.mark.parametrize("python", [*PYTHONS, "3.14"])
def test_the_lock_pins_each_package_once(python: str) -> None:
    """``make lock`` resolves for all of them at once."""
    locked = packages_locked_for(python)
    assert {name: times for name, times in locked.items() if times > 1} == {}
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(line) for line in sum(extras.values(), PROJECT["dependencies"])]
    assert {canonicalize_name(one.name) for one in wanted} - set(locked) == {"streamgauge"}
    assert "://" not in LOCK


def make_dry_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do to get an environment, with the Pythons of that folder and no others."""
    part_or_skip("make")
    return subprocess.run(
        ["make", "--dry-run", "install", f"VENV={folder / 'venv'}", *arguments],
        cwd=ROOT,
        # bin is where the shell and its tools are: only names of Python are looked for in the folder.
        env={"PATH": f"{folder}:/usr/bin:/bin", "PYENV_ROOT": str(folder / "pyenv")},
        capture_output=True,
        text=True,
        check=False,
    )


def a_python(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


RUNS = f'exec "{sys.executable}" "$@"'


def test_make_passes_over_the_name_of_a_python_that_does_not_run(tmp_path: Path) -> None:
    a_python(tmp_path / "python3.13", "exit 127")
    a_python(tmp_path / "python3.12", RUNS)
    assert "\npython3.12 -m venv" in "\n" + make_dry_run(tmp_path).stdout


def test_make_finds_a_python_that_pyenv_has_not_switched_on(tmp_path: Path) -> None:
    kept = tmp_path / "pyenv" / "versions" / "3.13.0" / "bin" / "python3.13"
    a_python(tmp_path / "python3.13", "exit 127")
    a_python(kept, RUNS)
    assert f"{kept} -m venv" in make_dry_run(tmp_path, "PYTHON=python3.13").stdout


def test_make_makes_an_environment_anew_for_another_python_only_if_it_is_asked_to(tmp_path: Path) -> None:
    a_python(tmp_path / "python3.12", RUNS)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "installed").touch()
    assert "-m venv" not in make_dry_run(tmp_path).stdout
    assert "python3.12 -m venv --clear" in make_dry_run(tmp_path, "PYTHON=python3.12").stdout
    (tmp_path / "venv" / "bin" / f"python3.{sys.version_info.minor}").touch()
    assert "-m venv" not in make_dry_run(tmp_path, "PYTHON=python3.12").stdout


def test_make_says_in_one_line_that_there_is_no_such_python(tmp_path: Path) -> None:
    done = make_dry_run(tmp_path, "PYTHON=python3.nine")
    assert done.returncode == 2
    assert re.fullmatch(r"Makefile:\d+: \*\*\* no Python of 3\.11 or newer .* python3\.nine; .*\n", done.stderr)
