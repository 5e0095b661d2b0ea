"""Licences of the packages that are installed: which are allowed, and what is allowed beside them with a reason.

``python -m supply_chain.licences`` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import NamedTuple

import click
from packaging.utils import canonicalize_name

#: SPDX ids that ask for no more than a notice, or (MPL) for changes to the package's own files.
ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0"),
        *("MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "TCL", "Unlicense", "Zlib", "ZPL-2.1"),
        "Apache-2.0 WITH LLVM-exception",
    }
)
#: Names that metadata use in the place of an SPDX id, in small letters. What one leaves open ("BSD License") is the
#: family's stricter member.
_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "artistic license": "Artistic-1.0-Perl",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "gnu general public license (gpl)": "GPL-1.0-or-later",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
    "gplv2 with linking exception": "GPL-2.0-only WITH GCC-exception-2.0",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "zope public license": "ZPL-2.1",
}
_NOTHING_SAID = "unknown"


class Exceptional(NamedTuple):
    """Why a package is taken whose metadata name no allowed licence; ``in_images``: an image of ours holds it."""

    licence: str
    in_images: bool
    reason: str


EXCEPTIONS = {
    "asyncssh": Exceptional(
        "EPL-2.0 OR GPL-2.0-or-later", False, "DVC's, for remotes over SSH; taken by EPL-2.0, unchanged"
    ),
    "crc32c": Exceptional(
        "LGPL-2.1-or-later", True, "a library of its own that is loaded when it is there, unchanged and replaceable"
    ),
    "grandalf": Exceptional("GPL-2.0-only", False, "DVC's; its text offers EPL-1.0 as well, by which it is taken"),
    "huey": Exceptional("unknown", True, "MLflow's; its licence file is MIT's"),
    "pygit2": Exceptional(
        "GPL-2.0-only WITH GCC-exception-2.0", False, "DVC's; may be linked into anything, by its exception"
    ),
    "skops": Exceptional("unknown", True, "MLflow's; its licence file is MIT's"),
    "text-unidecode": Exceptional(
        "Artistic-1.0-Perl AND GPL-1.0-or-later AND GPL-2.0-or-later",
        True,
        "Prefect's, by python-slugify; its text offers them as a choice, and it is taken by the Artistic License",
    ),
}


class Licensed(NamedTuple):
    """A package, and its licence as an SPDX expression, as far as its metadata say."""

    name: str
    licence: str

    @property
    def is_allowed(self) -> bool:
        exception = EXCEPTIONS.get(self.name)
        return is_allowed(self.licence) or (exception is not None and exception.licence == self.licence)


def installed() -> list[Licensed]:
    """Every package of this environment but our own, by name."""
    found = {Licensed(canonicalize_name(one.name), licence_of(one)) for one in distributions()}
    return sorted(one for one in found if one.name != "streamgauge")


def licence_of(package: Distribution) -> str:
    """PEP 639's expression; failing that the classifiers, of which all hold; failing that a licence in one line."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    named = [_spdx(name) for name in _classified(metadata.get_all("Classifier") or [])]
    if named:
        return " AND ".join(named)
    line = metadata["License"].strip().partition("\n")[0] if "License" in metadata else ""
    return _spdx(line) if line else _NOTHING_SAID


def _classified(classifiers: list[str]) -> Iterator[str]:
    """Names of licences; "OSI Approved" alone is none."""
    for classifier in classifiers:
        parts = classifier.split(" :: ")
        if parts[0] == "License" and len(parts) > 1 and parts[-1] not in ("OSI Approved", "DFSG approved"):
            yield parts[-1]


def _spdx(name: str) -> str:
    return _NAMES.get(name.strip().lower(), name.strip())


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met by allowed licences alone: OR is a choice, AND is not."""
    tokens = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression)
    allowed, left = _alternatives(tokens)
    return allowed and not left


def _alternatives(tokens: list[str]) -> tuple[bool, list[str]]:
    allowed, left = _all_of(tokens)
    while left[:1] == ["OR"]:
        another, left = _all_of(left[1:])
        allowed = allowed or another
    return allowed, left


def _all_of(tokens: list[str]) -> tuple[bool, list[str]]:
    allowed, left = _one(tokens)
    while left[:1] == ["AND"]:
        another, left = _one(left[1:])
        allowed = allowed and another
    return allowed, left


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if tokens[:1] == ["("]:
        allowed, left = _alternatives(tokens[1:])
        return allowed and left[:1] == [")"], left[1:]
    return tokens[:1] != [] and tokens[0] in ALLOWED, tokens[1:]


def main() -> None:
    """Print each licence with its packages, and each exception with its reason."""
    packages: dict[str, list[str]] = {}
    for one in installed():
        packages.setdefault(one.licence, []).append(one.name)
    for licence, names in sorted(packages.items(), key=lambda item: (-len(item[1]), item[0])):
        click.echo(f"{licence}: {', '.join(names)}")
    for name, exception in sorted(EXCEPTIONS.items()):
        click.echo(f"taken all the same: {name}, {exception.licence}: {exception.reason}")


if __name__ == "__main__":
    main()
