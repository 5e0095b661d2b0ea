"""The audit of the locks: what counts as found, as ignored and as not audited."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from click.testing import CliRunner

from supply_chain.advisories import Advisories, served
from supply_chain.audit import Audit, Dependency, Finding, NotAuditedError, checked, in_parts, judged, main
from supply_chain.ignored import IGNORED_FILE, Ignored, read_ignored
from supply_chain.locks import Pin, pins_of

PINS = {Pin("pear", "1.0"): ["a.lock"], Pin("plum", "2.0"): ["a.lock", "b.lock"]}
FOUND = [Dependency("pear", "1.0"), Dependency("plum", "2.0", [Finding("X-1", ["2.1"], ["CVE-1"])])]
TODAY = datetime.date(2026, 5, 1)
TOMORROW = TODAY + datetime.timedelta(days=1)


def judge(*ignored: Ignored) -> list[tuple[bool, str]]:
    return list(judged(FOUND, PINS, ignored, TODAY))


def test_what_is_found_is_named_with_its_locks_and_its_mending() -> None:
    assert judge() == [(True, "plum 2.0: X-1, mended by 2.1 (a.lock, b.lock)")]


@pytest.mark.parametrize(("id_", "until", "counts"), [("X-1", TOMORROW, False), ("CVE-1", TODAY, True)])
def test_what_is_ignored_counts_again_from_its_day_on(id_: str, until: datetime.date, counts: bool) -> None:
    [(is_counted, line)] = judge(Ignored(id_, "plum", "Not called.", until))
    assert is_counted is counts
    assert line.endswith(f"ignored until {until}: Not called.")


@pytest.mark.parametrize(("id_", "package"), [("X-2", "plum"), ("X-1", "pear")])
def test_an_entry_ignores_nothing_else_and_is_named_when_it_is_not_needed(id_: str, package: str) -> None:
    found, unused = judge(Ignored(id_, package, "Not called.", TOMORROW))
    assert found[0]
    assert unused == (False, f"{package}: {id_} was not found, so it may go from ignored.toml")


def test_the_file_of_what_is_ignored_gives_each_a_reason_and_a_day(tmp_path: Path) -> None:
    example = "\n".join(line.removeprefix("# ") for line in IGNORED_FILE.read_text().splitlines()[2:])
    (tmp_path / "a.toml").write_text(example)
    [entry] = read_ignored(tmp_path / "a.toml")
    assert (entry.package, entry.until) == ("example", datetime.date(2027, 3, 1))
    (tmp_path / "a.toml").write_text(example.replace("reason", "why"))
    with pytest.raises(msgspec.ValidationError):
        read_ignored(tmp_path / "a.toml")
    assert all(entry.reason for entry in read_ignored())


@pytest.mark.parametrize("found", [[FOUND[0], Dependency("plum", skip_reason="not on PyPI")], FOUND[:1]])
def test_what_was_not_audited_is_no_good_news(found: list[Dependency]) -> None:
    with pytest.raises(NotAuditedError, match="plum were not audited"):
        checked(found, list(PINS))


def test_a_package_in_two_versions_is_asked_for_twice() -> None:
    pins = [Pin("pear", "1.0"), Pin("plum", "2.0"), Pin("pear", "1.1")]
    assert in_parts(pins) == [pins[:2], pins[2:]]


def test_pins_are_read_for_every_platform_by_the_names_that_pip_audit_gives_back(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.lock").write_text(
            "pear==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:0\nPEAR[x]==1.1-post1 \\\n    --hash=sha256:0\n"
        )
    assert pins_of([tmp_path / "a.lock", tmp_path / "b.lock"]) == {
        Pin("pear", "1.0"): ["a.lock", "b.lock"],
        Pin("pear", "1.1.post1"): ["a.lock", "b.lock"],
    }


# pip-audit, by a stand-in ---------------------------------------------------------------------------------------------


def a_tool(folder: Path, says: str, code: int = 0) -> Path:
    path = folder / "pip-audit"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nprint({says!r})\nprint('no route', file=sys.stderr)\nsys.exit({code})\n"
    )
    path.chmod(0o755)
    return path


def test_a_tool_that_says_nothing_of_use_has_not_audited(tmp_path: Path) -> None:
    with pytest.raises(NotAuditedError, match="ended with 1 and said: no route"):
        Audit(a_tool(tmp_path, "", 1)).of(PINS)


def test_the_command_says_loudly_that_nothing_was_audited(tmp_path: Path) -> None:
    skipped = {"dependencies": [{"name": "pear", "skip_reason": "not on PyPI"}]}
    run = CliRunner().invoke(main, ["--pip-audit", str(a_tool(tmp_path, json.dumps(skipped)))])
    assert run.exit_code == 2
    assert "NOT audited" in run.output


def test_a_folder_without_advisories_is_no_list(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["--pip-audit", "pip-audit", "--advisories", str(tmp_path)])
    assert (run.exit_code, "holds no advisories" in run.output) == (2, True)


# Advisories of a folder -----------------------------------------------------------------------------------------------


def an_advisory(folder: Path, id_: str = "X-1", **changes: Any) -> None:
    affected = {"package": {"name": "Pl_um", "ecosystem": "PyPI"}, **changes.pop("affected", {})}
    content = {"id": id_, "affected": [affected], "published": "2026-01-01T00:00:00Z", **changes}
    path = folder / "vulns" / "pl-um" / f"{id_}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def ecosystem(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "version", "found"),
    [
        ({"versions": ["1.0"]}, "1.0", True),
        ({"versions": ["1.0"]}, "1.0.1", False),
        (ecosystem({"introduced": "0"}), "9.9", True),
        (ecosystem({"introduced": "0"}, {"fixed": "2.0"}), "2.0", False),
        (ecosystem({"introduced": "0"}, {"fixed": "2.0"}), "2.0rc1", True),
        (ecosystem({"fixed": "2.0"}, {"introduced": "0"}), "1.10", True),
        (ecosystem({"introduced": "1.5"}, {"last_affected": "2.0"}), "2.0", True),
        (ecosystem({"introduced": "1.5"}, {"last_affected": "2.0"}), "2.0.1", False),
        (ecosystem({"introduced": "1.5"}), "1.4", False),
        (ecosystem({"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.2"}), "2.1", True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, "1.0", False),
    ],
)
def test_a_version_is_affected_by_what_its_advisory_lists(
    tmp_path: Path, affected: dict[str, Any], version: str, found: bool
) -> None:
    an_advisory(tmp_path, affected=affected)
    assert bool(Advisories(tmp_path).about("PL.UM", version)) is found


def test_what_was_withdrawn_and_what_is_about_others_is_not_said(tmp_path: Path) -> None:
    an_advisory(tmp_path, affected={"versions": ["1.0"]}, withdrawn="2026-02-01T00:00:00Z")
    an_advisory(tmp_path, "X-2", affected={"versions": ["1.0"], "package": {"name": "pear", "ecosystem": "PyPI"}})
    assert Advisories(tmp_path).about("pl-um", "1.0") == []
    assert Advisories(tmp_path).about("unheard-of", "1.0") == []


def test_a_folder_answers_as_osv_does(tmp_path: Path) -> None:
    an_advisory(tmp_path, affected={"versions": ["1.0"]})
    with served(Advisories(tmp_path)) as url:
        asked = [
            requests.post(url, json={"package": {"name": "pl-um", "ecosystem": "PyPI"}, "version": version}, timeout=5)
            for version in ("1.0", "2.0")
        ]
    assert [[one["id"] for one in answer.json().get("vulns", [])] for answer in asked] == [["X-1"], []]
