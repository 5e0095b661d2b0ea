"""What the caller of the tests has in the environment, and the little of it that tests see."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: All of it. Downloads of real parts need its proxies and what it tells their tools.
CALLERS_ENVIRONMENT: Mapping[str, str] = dict(os.environ)

#: What is said to the tests themselves stays.
_TO_THE_TESTS = re.compile(r"TEST_|REQUIRE_|FAULT")
#: Read by the clients of the services and by their libraries; that nobody is to be told of their use stays.
_OF_LIBRARIES = re.compile(
    r"(HTTP|HTTPS|ALL|NO)_PROXY$|SECRETS_DIR$|NETRC$|XDG_CONFIG_HOME$"
    r"|(AWS|FLASK|GRANIAN|GX|MLFLOW|MPL|OPTUNA|PREFECT)_?(?!\w*(TELEMETRY|ANALYTICS))"
)


def settings_variables() -> frozenset[str]:
    """Every variable that a settings class reads, from the file that is made of the classes."""
    return frozenset(re.findall(r"^#?([A-Z]\w*)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))


def hidden_from_tests(names: Iterable[str]) -> list[str]:
    """Of the caller's variables. Settings are read whatever the case of their names."""
    settings = settings_variables()
    return [
        name
        for name in names
        if (name.upper() in settings and not _TO_THE_TESTS.match(name.upper())) or _OF_LIBRARIES.match(name.upper())
    ]


@contextlib.contextmanager
def environment_of_nobody(work: Path, home: Path) -> Iterator[None]:
    """No settings, a working folder without a ``.env``, a home without a ``.netrc`` or profiles."""
    with pytest.MonkeyPatch.context() as environment, contextlib.chdir(work):
        for name in hidden_from_tests(os.environ):
            environment.delenv(name)
        # Downloads and lists of fonts are found where they were.
        environment.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
        environment.setenv("HOME", str(home))
        # The working folder is no longer the checkout, where processes find what is not installed.
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        yield
