"""How the C library's allocator keeps memory that was freed."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 128 * 1024
_ARENAS = 2


def give_back_large_blocks() -> None:
    """Have large blocks go back to the system when they are freed, now and later (glibc; elsewhere nothing changes).

    By itself glibc raises what it calls large with each such block, to 32 MB, and gives each thread an arena: after a
    few large requests in many threads a process stays as large as all of them together.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)
