"""Audit of every lock by pip-audit: known vulnerabilities of each version that is pinned, for all platforms.

``python -m supply_chain.audit --pip-audit BIN`` ends with 0 when nothing is found, with 1 when something is, and with 2
when it cannot be said, because a list could not be asked for each package.
"""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from supply_chain.advisories import Advisories, served
from supply_chain.ignored import Ignored, read_ignored
from supply_chain.locks import Pin, lock_files, pins_of

CLEAN, FOUND, UNKNOWN = 0, 1, 2
_MOST_NAMED = 5


class Finding(msgspec.Struct, frozen=True):
    """What is known about a version; ``aliases`` are other names of the same."""

    id: str
    fix_versions: list[str]
    aliases: list[str] = []


class Dependency(msgspec.Struct, frozen=True):
    """What pip-audit says of one package; ``skip_reason``: it was not audited."""

    name: str
    version: str = ""
    vulns: list[Finding] = []
    skip_reason: str = ""


class _Report(msgspec.Struct):
    dependencies: list[Dependency]


class NotAuditedError(Exception):
    """It cannot be said whether anything is known about the pins."""


@dataclass(frozen=True)
class Audit:
    """The tool, and whom it asks: ``pypi``, or OSV's service at a URL."""

    pip_audit: Path
    osv_url: str | None = None

    def of(self, pins: Collection[Pin]) -> list[Dependency]:
        """What is known about each pin. Raises :class:`NotAuditedError`."""
        return [dependency for part in in_parts(pins) for dependency in self._ask(part)]

    def _ask(self, pins: Sequence[Pin]) -> list[Dependency]:
        with tempfile.TemporaryDirectory() as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
            command = self._command(requirements)
            run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
        try:
            report = msgspec.json.decode(run.stdout, type=_Report)
        except msgspec.MsgspecError:
            said = (run.stderr.strip() or "nothing").splitlines()[-1]
            raise NotAuditedError(f"pip-audit ended with {run.returncode} and said: {said}") from None
        return checked(report.dependencies, pins)

    def _command(self, requirements: Path) -> list[str]:
        asked = ["--vulnerability-service=osv", f"--osv-url={self.osv_url}"] if self.osv_url else []
        quiet = ["--progress-spinner=off", "--format=json", "--desc=off", "--aliases=on"]
        # Versions are resolved already, for every platform: nothing is left for pip to do.
        return [str(self.pip_audit), "--disable-pip", "--no-deps", *quiet, *asked, f"--requirement={requirements}"]


def in_parts(pins: Iterable[Pin]) -> list[list[Pin]]:
    """Pins in parts that have each name once: a lock for all platforms has some packages in two versions."""
    parts: list[dict[str, Pin]] = []
    for pin in pins:
        for part in parts:
            if pin.name not in part:
                part[pin.name] = pin
                break
        else:
            parts.append({pin.name: pin})
    return [list(part.values()) for part in parts]


def checked(found: list[Dependency], pins: Sequence[Pin]) -> list[Dependency]:
    """The same, if each pin was audited: pip-audit itself ends with 0 when its list knows no package at all."""
    skipped = [one for one in found if one.skip_reason]
    missing = {pin.name for pin in pins} - {one.name for one in found}
    if skipped or missing:
        names = sorted({one.name for one in skipped} | missing)
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        why = f" ({skipped[0].skip_reason})" if skipped else ""
        raise NotAuditedError(f"{', '.join(names[:_MOST_NAMED])}{more} were not audited{why}")
    return found


def judged(
    found: Iterable[Dependency], pins: dict[Pin, list[str]], ignored: Sequence[Ignored], today: datetime.date
) -> Iterator[tuple[bool, str]]:
    """Whether it counts, and a line, for each finding and each entry that ignores nothing."""
    used: set[Ignored] = set()
    for dependency in found:
        for finding in dependency.vulns:
            entry = next((one for one in ignored if one.package == dependency.name and _is_named(finding, one)), None)
            locks = ", ".join(pins[Pin(dependency.name, dependency.version)])
            fixes = ", ".join(finding.fix_versions) or "nothing yet"
            line = f"{dependency.name} {dependency.version}: {finding.id}, mended by {fixes} ({locks})"
            if entry is None:
                yield True, line
            else:
                used.add(entry)
                is_over = today >= entry.until
                yield is_over, f"{line}, ignored until {entry.until}: {entry.reason}"
    for entry in ignored:
        if entry not in used:
            yield False, f"{entry.package}: {entry.id} was not found, so it may go from ignored.toml"


def _is_named(finding: Finding, entry: Ignored) -> bool:
    return entry.id in (finding.id, *finding.aliases)


@contextlib.contextmanager
def auditing(pip_audit: Path, advisories: Path | None) -> Iterator[Audit]:
    """An audit that asks PyPI, or a folder of advisories. Raises :class:`NotAuditedError` for a folder without any."""
    if advisories is None:
        yield Audit(pip_audit)
        return
    known = Advisories(advisories)
    if not len(known):
        raise NotAuditedError(f"{advisories} holds no advisories: it has to be a checkout with a folder vulns")
    with served(known) as url:
        yield Audit(pip_audit, url)


@click.command()
@click.option("--pip-audit", type=click.Path(path_type=Path), required=True, help="The program.")
@click.option(
    "--advisories",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A checkout of the Python Packaging Advisory Database; PyPI is asked without it.",
)
def main(pip_audit: Path, advisories: Path | None) -> None:
    """Say what is known about each version in the locks."""
    pins = pins_of(lock_files())
    try:
        with auditing(pip_audit, advisories) as audit:
            found = audit.of(pins)
    except NotAuditedError as error:
        click.echo(f"The locks were NOT audited: {error}.", err=True)
        click.echo("Where the list cannot be reached, ADVISORIES=folder takes one from a folder.", err=True)
        sys.exit(UNKNOWN)
    lines = list(judged(found, pins, read_ignored(), datetime.datetime.now(datetime.UTC).date()))
    for counts, line in lines:
        click.echo(f"{'FOUND  ' if counts else 'ignored'} {line}")
    click.echo(f"{len(pins)} versions audited, {sum(counts for counts, _ in lines)} findings that count")
    sys.exit(FOUND if any(counts for counts, _ in lines) else CLEAN)


if __name__ == "__main__":
    main()
