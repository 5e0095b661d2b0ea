"""Documents say what the code does: generated pages are current, and whatever a page names is there."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml
from monitoring_bench import Bench

from event_backbone.case.files import case_from_dict
from event_backbone.events.schema import Envelope, Prediction
from event_backbone.web.problems import Problem
from monitoring_service.intake.receiver import Receipt
from prediction_service.serving.handlers import Answer

ROOT = Path(__file__).parents[2]
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
LARGEST_PICTURE_BYTES = 300_000
#: Names in capitals that are no settings of the services: the kernel's, Kafka's, Prefect's, the tests', the secrets'.
OTHER_NAMES = {
    "PR_SET_PDEATHSIG",
    "SASL_SSL",
    "SASL_PLAINTEXT",
    "SECRETS_DIR",
    # Of every client of HTTP.
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    # Of the clients of artifact stores.
    "PREFECT_API_URL",
    "PREFECT_HOME",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "MLFLOW_S3_ENDPOINT_URL",
    "TEST_DATA_DIR",
    "TEST_KAFKA_URL",
    "TEST_MONGO_URL",
    "REQUIRE_SERVICES",
    "REQUIRE_DATA",
    "FAULT_SEEDS",
    "FUZZ_EXAMPLES",
    "FAULTS",
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fenced(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def code_in(page: Path) -> Iterator[str]:
    """Inline code, and the lines of shell blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)
    for block in fenced(page, "sh"):
        yield from block.splitlines()


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", GENERATOR["pages"](), ids=lambda path: path.name)
def test_a_generated_file_is_what_the_code_makes_of_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATOR["pages"]()[path], "run .venv/bin/python docs/generate.py"


@pytest.mark.parametrize("kind", GENERATOR["READERS"].values(), ids=lambda kind: kind.__name__)
def test_the_values_in_the_env_example_are_the_defaults(kind: Any, tmp_path: Path) -> None:
    example = re.findall(r"^#([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    env_file = tmp_path / "all.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in example))
    assert kind(_env_file=env_file) == kind()


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in (link for link in links if "://" not in link):
        target, _, anchor = link.partition("#")
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), link
        assert not anchor or anchor in anchors(place), link


@each_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    named = {
        word
        for code in code_in(page)
        if code.startswith("make ")
        for word in code.partition("#")[0].split()[1:]
        if "=" not in word
    }
    assert named <= MAKE_TARGETS


@each_page
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {name.upper() for kind in GENERATOR["READERS"].values() for name in kind.model_fields}
    known |= {variable.name for variable in GENERATOR["compose_variables"]()}
    words = {code.partition("=")[0] for code in code_in(page)}
    assert {word for word in words if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", word)} <= known | OTHER_NAMES


def commands_in(page: Path) -> Iterator[list[str]]:
    for code in code_in(page):
        words = shlex.split(code.partition("#")[0]) if code.count("'") % 2 == 0 else []
        if words and Path(words[0]).name in SCRIPTS:
            yield [Path(words[0]).name, *words[1:]]


def command_of(script: str) -> click.Command:
    module = import_module(SCRIPTS[script].partition(":")[0])
    command = getattr(module, "cli", None) or module.main
    assert isinstance(command, click.Command)
    return command


@each_page
def test_every_command_that_is_shown_has_the_options_it_is_shown_with(page: Path) -> None:
    for script, *arguments in commands_in(page):
        command = command_of(script)
        while isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
            command = command.commands[arguments.pop(0)]
        if arguments:
            command.make_context(script, arguments)


def test_every_console_command_is_in_the_readme() -> None:
    assert {script for script, *_ in commands_in(ROOT / "README.md")} == set(SCRIPTS)


def test_the_case_file_in_the_readme_is_a_valid_one() -> None:
    [example] = fenced(ROOT / "README.md", "yaml")
    case = case_from_dict(yaml.safe_load(example), subject="README.md")
    assert f"make run CASE={case.name} " in (ROOT / "README.md").read_text()


def test_every_kind_of_message_has_an_example_with_its_fields(tmp_path: Path) -> None:
    examples = [json.loads(block) for block in fenced(ROOT / "docs" / "architecture.md", "json")]
    shown = {frozenset(example) for example in examples}
    fields = {kind.__name__: frozenset(kind.__struct_fields__) for kind in (Answer, Envelope, Receipt)}
    fields["Prediction"] = frozenset({*Prediction.__struct_fields__, "type"})
    fields["Problem"] = frozenset({*Problem.__struct_fields__} - {"type"})
    bench = Bench(tmp_path)
    for path in ("/api/state", "/api/history"):
        fields[path] = frozenset(bench.client.get(path).get_json())
    bench.close()
    assert {name for name, expected in fields.items() if expected not in shown} == set()


@each_page
def test_every_json_example_is_json(page: Path) -> None:
    for block in fenced(page, "json"):
        msgspec.json.decode(block)


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text(encoding="utf-8")))
    assert {
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    } == set()


def test_every_guarantee_names_a_test() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| event \|.*?\n\n", page, re.MULTILINE | re.DOTALL)
    rows = table.splitlines()[2:]
    assert len([row for row in rows if row]) >= 13
    assert [row for row in rows if row and "::test_" not in row] == []


def test_the_list_of_decisions_has_every_one_of_them() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[a-z-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_PICTURE_BYTES} == {}


@each_page
def test_no_page_names_a_folder_of_one_machine(page: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", page.read_text(encoding="utf-8")) == []
