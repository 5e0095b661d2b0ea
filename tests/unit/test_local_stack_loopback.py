"""Raising the loopback interface."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from local_stack.loopback import raise_loopback

_IN_A_FRESH_NAMESPACE = "from local_stack.loopback import raise_loopback as r; print(r(), r())"


def test_an_interface_that_is_up_is_left_alone() -> None:
    assert raise_loopback() is False


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_it_is_brought_up_in_a_fresh_network_namespace() -> None:
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", _IN_A_FRESH_NAMESPACE], capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr:
        pytest.skip("may not make a network namespace")
    assert done.stdout.split() == ["True", "False"]
