"""Which scripts a report may run, and how the server learns that."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from monitoring_service.reports.script_policy import ForeignScriptError, policy_of, with_script_policy

SCRIPTS = ["var data = {};", "var global = globalThis", "library();", "\n draw();\n"]


def page(*scripts: str, head: str = "<head>") -> str:
    written = "".join(f"<script>{script}</script>" for script in scripts)
    return f'\n<!DOCTYPE html>\n<html lang="en">\n{head}<title>x</title></head><body>{written}</body></html>'


def digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def served(folder: Path, html: str) -> dict[str, str]:
    """The directives of the header for a page in a file."""
    path = folder / "report.html"
    path.write_text(html)
    directives = [one.strip().partition(" ") for one in policy_of(path).split(";")]
    return {name: values for name, _, values in directives}


def test_evidentlys_scripts_run_and_nothing_else_does(tmp_path: Path) -> None:
    policy = served(tmp_path, with_script_policy(page(*SCRIPTS)))
    assert policy["script-src"].split() == [digest(script) for script in SCRIPTS]
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["sandbox"] == "allow-scripts"


def test_the_list_stands_before_everything_else_and_holds_for_the_file_too() -> None:
    written = with_script_policy(page(*SCRIPTS))
    assert written.partition("<head>\n")[2].startswith(
        '<meta http-equiv="Content-Security-Policy" content="script-src '
    )
    assert "unsafe-eval" not in written
    assert written.count("unsafe-inline") == 1, "of styles"


@pytest.mark.parametrize("more", ["<script>own()</script>", "<SCRIPT type=module>own()</SCRIPT >"])
def test_a_page_with_one_script_more_is_no_report(more: str) -> None:
    with pytest.raises(ForeignScriptError):
        with_script_policy(page(*SCRIPTS) + more)


@pytest.mark.parametrize(
    "html",
    [
        page(*SCRIPTS),
        page(*SCRIPTS, head='<head>\n<meta http-equiv="Content-Security-Policy" content="a"; sandbox allow-forms">'),
        "<p>old</p>",
        "",
    ],
    ids=["of an earlier version", "another list", "no page", "empty"],
)
def test_a_report_without_a_list_runs_no_script(tmp_path: Path, html: str) -> None:
    policy = served(tmp_path, html)
    assert "script-src" not in policy
    assert policy["default-src"] == "'none'"
    assert policy["sandbox"] == "allow-scripts"


@pytest.mark.parametrize("tag", ["<script", "</script", "<script>", "</script>"])
def test_tags_that_nothing_ends_are_looked_at_once(tag: str) -> None:
    with pytest.raises(ForeignScriptError):
        with_script_policy(page(*SCRIPTS[1:]) + tag * 500_000)
