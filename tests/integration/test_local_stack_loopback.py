"""Raising the loopback interface."""

from __future__ import annotations

import subprocess
import sys

from real_parts_cache import give_up, part_or_skip

from local_stack.loopback import raise_loopback

_IN_A_FRESH_NAMESPACE = "from local_stack.loopback import raise_loopback as r; print(r(), r())"


def test_an_interface_that_is_up_is_left_alone() -> None:
    assert raise_loopback() is False


def test_it_is_brought_up_in_a_fresh_network_namespace() -> None:
    part_or_skip("unshare")
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", _IN_A_FRESH_NAMESPACE], capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr:
        give_up("may not make a network namespace")
    assert done.stdout.split() == ["True", "False"]
