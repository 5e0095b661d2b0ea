"""A test without the mark ``real_parts`` starts none, and goes no further than this machine's loopback: a plugin."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: Below tests/.
FOLDERS = ("unit", "contracts")
#: Fixtures that start a real part, or read or train on the real data.
PARTS = frozenset(
    {
        "browser",
        "kafka_broker",
        "kafka_url",
        "mongo_server",
        "mongo_url",
        "toxiproxy",
        "census_champion_state",
        "census_data_dir",
        "housing_champion_state",
        "housing_data_dir",
    }
)


def is_loopback(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def asked_host(event: str, arguments: tuple[Any, ...]) -> str | bytes | None:
    """Whom an audited call of a socket is for; nobody, where it is no such call or one between local files."""
    if event == "socket.getaddrinfo":
        return arguments[0]
    if event in ("socket.connect", "socket.sendto") and arguments[0].family != socket.AF_UNIX:
        return arguments[1][0]
    return None


class Guard:
    """Refuses, while it is on, and remembers what it refused: a service may take a refusal for an outage."""

    def __init__(self) -> None:
        self._is_on = False
        self.refused: list[str] = []
        sys.addaudithook(self._look)  # there is no taking it back

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self._is_on, self.refused = True, []
        try:
            yield
        finally:
            self._is_on = False

    def start_of(self, fixture: str) -> None:
        if self._is_on and fixture in PARTS:
            pytest.fail(f"{fixture} is for tests with the mark real_parts")

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_on and event.startswith("socket.") and not is_loopback(host := asked_host(event, arguments)):
            self.refused.append(f"{event} to {host!r}")
            raise PermissionError(f"only tests with the mark real_parts may ask {host!r}")


GUARD = Guard()


def is_guarded(item: pytest.Item) -> bool:
    below_tests = item.path.relative_to(Path(__file__).parents[1])
    return below_tests.parts[0] in FOLDERS and item.get_closest_marker("real_parts") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with GUARD.on() if is_guarded(item) else contextlib.nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    yield
    assert GUARD.refused == []


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    GUARD.start_of(fixturedef.argname)
