"""How many inputs the tests try that are made by chance, always the same ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

#: Of the short form, and of the long one where nobody says how many.
SHORT_EXAMPLES, LONG_EXAMPLES = 60, 5_000


def short(examples: int = SHORT_EXAMPLES) -> settings:
    """For every run of the tests."""
    return settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=_SLOW)


def long() -> settings:
    """For ``make test-long``: as many as ``FUZZ_EXAMPLES`` says, and no search for a smaller one that fails."""
    return settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", LONG_EXAMPLES)),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=_SLOW,
        phases=[Phase.explicit, Phase.generate],
    )


_SLOW = list(HealthCheck)
