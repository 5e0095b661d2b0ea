"""Whatever the caller of the tests has exported, lying around or at home, they come out the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from callers_environment import settings_variables

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
FILES = [
    *sorted(UNIT.rglob("test_settings.py")),
    UNIT / "test_callers_environment.py",
    UNIT / "training/commands/test_command_line.py",
]


@pytest.mark.long
def test_tests_pass_among_settings_that_are_all_wrong(tmp_path: Path) -> None:
    wrong = dict.fromkeys(settings_variables(), "no such thing")
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in wrong.items()))
    (tmp_path / ".netrc").write_text("default login nobody password nothing\n")
    proxies = dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *FILES],
        env={**os.environ, **wrong, **{name.lower(): value for name, value in wrong.items()}, **proxies}
        | {"HOME": str(tmp_path), "SECRETS_DIR": str(tmp_path / "nowhere"), "TZ": "Pacific/Chatham"},
        cwd=tmp_path,
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
