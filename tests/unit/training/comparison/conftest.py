"""What comparing models on a few rows needs less of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _loops_are_not_compiled() -> Iterator[None]:
    """SHAP's loops are compiled when they first run: seconds, and on a few rows they take none without it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NUMBA_DISABLE_JIT", "1")
        yield
