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

#: Read by the clients of the services and by their libraries; that nobody is to be told of their use stays.
_OF_LIBRARIES = re.compile(
    r"((HTTP|HTTPS|ALL|NO)_PROXY|SECRETS_DIR|NETRC|XDG_CONFIG_HOME|COLUMNS|LINES|NO_COLOR|FORCE_COLOR)$"
    r"|(AWS|FLASK|GRANIAN|GX|MLFLOW|MPL|OPTUNA|PREFECT)_?(?!\w*(TELEMETRY|ANALYTICS))"
)


def settings_variables() -> frozenset[str]:
    """Every variable that a settings class reads, from the file that is made of the classes."""
    return frozenset(re.findall(r"^#?([A-Z]\w*)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))


def hidden_from_tests(names: Iterable[str]) -> list[str]:
    """Of the caller's variables. Settings are read whatever the case of their names."""
    settings = settings_variables()
    return [name for name in names if name.upper() in settings or _OF_LIBRARIES.match(name.upper())]


@contextlib.contextmanager
def environment_of_nobody(work: Path, home: Path) -> Iterator[None]:
    """No settings, a working folder without a ``.env``, a home without a ``.netrc`` or profiles."""
    places = {
        # Downloads and lists of fonts are found where they were.
        "XDG_CACHE_HOME": [os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")],
        "HOME": [str(home)],
        # The working folder is no longer the checkout, where processes find what is not installed.
        "PYTHONPATH": [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))],
        "TEST_DATA_DIR": list(filter(None, [os.environ.get("TEST_DATA_DIR")])),
    }
    absolute = {name: os.pathsep.join(map(os.path.abspath, folders)) for name, folders in places.items()}
    with pytest.MonkeyPatch.context() as environment, contextlib.chdir(work):
        for name in hidden_from_tests(os.environ):
            environment.delenv(name)
        for name, value in absolute.items():
            environment.setenv(name, value)
        yield
