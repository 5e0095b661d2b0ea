"""Every package that is installed has a licence that we allow, or a reason."""

from __future__ import annotations

import re
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, cast

import pytest

from supply_chain.licences import EXCEPTIONS, installed, is_allowed, licence_of

ROOT = Path(__file__).parents[3]


def a_package(**metadata: Any) -> Distribution:
    class Package:
        def __init__(self) -> None:
            self.metadata = Message()
            for name, values in metadata.items():
                for value in values if isinstance(values, list) else [values]:
                    self.metadata[name.replace("_", "-")] = value

    return cast(Distribution, Package())


def test_every_licence_is_one_that_we_allow() -> None:
    packages = installed()
    assert len(packages) > 300
    assert [one for one in packages if not one.is_allowed] == []


def test_no_exception_is_left_that_nobody_needs() -> None:
    licences = {one.name: one.licence for one in installed()}
    assert {name: licences.get(name) for name in EXCEPTIONS} == {
        name: exception.licence for name, exception in EXCEPTIONS.items()
    }
    assert [name for name, exception in EXCEPTIONS.items() if is_allowed(exception.licence)] == []


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_says_whether_an_image_holds_it(name: str) -> None:
    locks = [path.read_text(encoding="utf-8") for path in (ROOT / "containers" / "locks").glob("*.lock")]
    assert any(re.search(rf"^{name}==", lock, re.MULTILINE) for lock in locks) is EXCEPTIONS[name].in_images


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("unknown", False),
        ("Apache-2.0 OR GPL-2.0-or-later", True),
        ("MIT AND GPL-2.0-or-later", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("(MIT OR GPL-3.0-only) AND GPL-3.0-only", False),
        ("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH Something-else", False),
        ("MIT GPL-3.0-only", False),
        ("(MIT", False),
        ("MIT OR", True),
        ("MIT AND", False),
        ("", False),
    ],
)
def test_a_choice_is_met_by_one_and_a_sum_by_all(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"License_Expression": "MIT", "License": "GPL-3.0"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause"),
        ({"Classifier": ["License :: OSI Approved", "Topic :: Text"], "License": "Apache 2.0"}, "Apache-2.0"),
        (
            {"Classifier": ["License :: OSI Approved :: MIT License", "License :: Other/Proprietary License"]},
            "MIT AND Other/Proprietary License",
        ),
        ({"License": "MIT License\nPermission is hereby granted"}, "MIT"),
        ({"License": "Ask us"}, "Ask us"),
        ({}, "unknown"),
    ],
)
def test_a_licence_is_read_where_metadata_say_it(metadata: dict[str, Any], licence: str) -> None:
    assert licence_of(a_package(**metadata)) == licence
