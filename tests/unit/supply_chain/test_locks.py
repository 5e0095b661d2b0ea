"""What is installed is pinned with its hashes, and whoever installs it asks for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supply_chain.locks import ROOT, lock_files, pins_of


def installing(file: str) -> list[str]:
    """The commands of a file that install packages."""
    lines = re.sub(r"\\\n\s*", " ", (ROOT / file).read_text(encoding="utf-8")).splitlines()
    commands = [command for line in lines if not line.startswith("#") for command in re.split("&&|;", line)]
    return [command.strip() for command in commands if re.search(r"\bpip\b.* (?:install|sync) ", command)]


@pytest.mark.parametrize("lock", lock_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_is_pinned_with_its_hashes(lock: Path) -> None:
    requirements = re.sub(r"\\\n\s*", "", lock.read_text(encoding="utf-8")).splitlines()
    assert requirements
    assert [
        line for line in requirements if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ .*--hash=sha256:\w{64}", line)
    ] == []
    assert "://" not in lock.read_text(encoding="utf-8")
    assert len(pins_of([lock])) == len(requirements)


def test_every_lock_is_written_by_make_lock() -> None:
    _, _, recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlock:")
    recipe = recipe.partition("\n\n")[0].replace("$$extra", "{monitoring,generator,training}")
    written = {
        f"{before}{name}{after}"
        for before, names, after in re.findall(r"--output-file ([\w./-]*)(?:\{([\w,]+)\})?([\w./-]*)", recipe)
        for name in names.split(",")
    }
    assert written == {str(lock.relative_to(ROOT)) for lock in lock_files()}


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_whoever_installs_a_lock_asks_for_its_hashes(name: str) -> None:
    commands = installing(name)
    of_locks = [command for command in commands if ".lock" in command]
    assert len(of_locks) >= 2
    assert [command for command in of_locks if "--require-hashes" not in command] == []
    # Our own package, from this folder: nothing is fetched for it.
    assert [command for command in commands if command not in of_locks and "--no-deps" not in command] == []
