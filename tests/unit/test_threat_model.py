"""The threat model says what holds: each line names a test that there is, and no way in is missing."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fuzzed_decoders import CURSORS, KAFKA, NAMES
from prediction_world import call
from three_services import ROUTES, Route, three_services

from event_backbone.errors import SettingsError
from event_backbone.settings import ListeningSettings, read_settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.md"
PACKAGES = ("event_backbone", "prediction_service", "monitoring_service", "stream_generator", "training", "local_stack")
SECTIONS = ("Who may do what", "Routes", "Ports", "Guards", "What is read")

#: What is called to take content apart → the line of the page. One that looks like it and is not here has no line yet.
DECODERS = {
    "csv.DictReader": "NDJSON and CSV of records",
    "csv.reader": "NDJSON and CSV of records",
    "json.JSONDecoder": "JSON",
    "json.loads": "JSON",
    "msgspec.json.Decoder": "JSON",
    "msgspec.json.decode": "JSON",
    "msgspec.msgpack.Decoder": "msgpack",
    "numpy.load": "Parquet and NumPy",
    "onnxruntime.InferenceSession": "ONNX",
    "pyarrow.parquet.read_table": "Parquet and NumPy",
    "sqlite3.connect": "SQLite",
    "yaml.safe_load": "YAML",
    **dict.fromkeys(
        (
            *("gzip.GzipFile", "lz4.frame.LZ4FrameDecompressor", "zstandard.ZstdDecompressor"),
            *("snappy.decompress", "struct.unpack_from"),
        ),
        "compressed batches of Kafka",
    ),
}
#: The same for the fuzzed decoders, where they are not of the line of their group.
FUZZED = {
    **dict.fromkeys(
        ("form", "query", "number of a query", "headers", "Retry-After"), "forms, query parameters and headers"
    ),
    **dict.fromkeys(KAFKA, "messages of Kafka and CloudEvents"),
    **dict.fromkeys(("case file", "scenarios", "expectations"), "YAML"),
    **dict.fromkeys(("CSV", "new records in CSV", "new records in NDJSON"), "NDJSON and CSV of records"),
    **dict.fromkeys(("recorded lines", "rows of a stream", "rows of a split", "books"), "NDJSON and CSV of records"),
    **dict.fromkeys(CURSORS, "cursors"),
    **dict.fromkeys(("frame", "body of a frame"), "msgpack"),
    **dict.fromkeys(("settings", "addresses", "options of commands"), "settings and URLs"),
    **dict.fromkeys(("text on a page", "page of a report"), "text that is shown"),
    "ONNX files outside": "ONNX",
    "keys": "keys files",
}
OF_FUZZED = {name: FUZZED.get(name, "JSON") for name in NAMES}
LOOKS_LIKE_ONE = re.compile(
    r"(?i)(^|\.)(loads?|unsafe_load|full_load|load_all|safe_load\w*|decode|\w*decoder|\w*reader|read_(?!text|bytes)\w+|unpack\w*"
    r"|fromstring|parse|iterparse|inferencesession|connect|zipfile|tarfile|gzipfile|\w*decompress\w*|open_file)$"
)


# The page -------------------------------------------------------------------------------------------------------------


@cache
def tables() -> dict[str, list[list[str]]]:
    """The rows of each section's table, cell by cell."""
    sections = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        title: [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("| ")
        ][2:]
        for title, body in zip(sections[::2], sections[1::2], strict=True)
    }


@cache
def functions_in(path: str) -> frozenset[str]:
    """Names of the functions of a file."""
    place = ROOT / path
    if not place.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(place.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_page_has_a_table_for_each_kind_of_way_in() -> None:
    assert {title for title, rows in tables().items() if rows} == set(SECTIONS)
    assert len(tables()["Who may do what"]) >= 30


@pytest.mark.parametrize("section", SECTIONS)
def test_every_line_names_a_test_and_every_test_that_is_named_exists(section: str) -> None:
    without = []
    for row in tables()[section]:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1])
        left = re.sub(r"`tests/[\w/]+\.py::test_\w+`|[, ]", "", row[-1])
        missing = [f"{path}::{name}" for path, name in named if name not in functions_in(path)]
        if not named or left or missing:
            without.append((row[:-1], missing or left or "no test"))
    assert without == []


@pytest.mark.parametrize("section", SECTIONS)
def test_every_line_is_whole(section: str) -> None:
    widths = {len(row) for row in tables()[section]}
    assert widths == {3 if section == "Guards" else 4}
    # Who, and what they may, stand once for several lines; what they may not never does.
    empty = [row for row in tables()[section] for cell in (row[2:] if section == SECTIONS[0] else row) if not cell]
    assert empty == []


# Routes ---------------------------------------------------------------------------------------------------------------


def listed_routes() -> list[tuple[str, str, str]]:
    """Service, method with pattern, and the cell about the key, of each route on the page."""
    return [
        (service, route, key)
        for service, routes, key, _ in tables()["Routes"]
        for route in re.findall(r"`([A-Z]+ /[^`]*)`", routes)
    ]


def test_every_route_is_on_the_page_once() -> None:
    listed = [(service, route) for service, route, _ in listed_routes()]
    assert sorted(listed) == sorted((route.service, f"{route.method} {route.pattern}") for route in ROUTES)


class _NobodysKeys:
    def accepts(self, _presented: str) -> bool:
        return False


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with three_services(tmp_path_factory.mktemp("services"), _NobodysKeys()) as applications:
        yield applications


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_who_shows_no_key_gets_what_the_page_says(services: dict[str, Any], route: Route) -> None:
    says = {(service, named): key for service, named, key in listed_routes()}
    key = says[route.service, f"{route.method} {route.pattern}"]
    assert key in ("none", "one", "one, as a field")
    assert (call(services[route.service], route.method, route.example).status == 401) is (key != "none")


# Ports and guards -----------------------------------------------------------------------------------------------------

SETTINGS = tuple(runpy.run_path(str(ROOT / "docs" / "generate.py"))["READERS"].values())
LISTENING = [
    pytest.param(kind, name, id=name)
    for kind in SETTINGS
    if issubclass(kind, ListeningSettings)
    for name in kind.model_fields
    if name.endswith("_host")
]


@pytest.mark.parametrize(("kind", "name"), LISTENING)
def test_a_service_listens_on_loopback_and_elsewhere_only_with_keys_and_names(
    kind: type[ListeningSettings], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(read_settings(kind), name) == "127.0.0.1"
    monkeypatch.setenv(name.upper(), "0.0.0.0")
    with pytest.raises(SettingsError, match="needs API_KEYS_FILE and ALLOWED_HOSTS"):
        read_settings(kind)
    monkeypatch.setenv("API_KEYS_FILE", "keys")
    monkeypatch.setenv("ALLOWED_HOSTS", "replica-1")
    assert getattr(read_settings(kind), name) == "0.0.0.0"


def test_every_port_is_on_the_page() -> None:
    ports = {
        str(field.default) for kind in SETTINGS for name, field in kind.model_fields.items() if name.endswith("_port")
    }
    assert len(LISTENING) == len(ports)
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ports |= set(re.findall(r"\$\{\w+_PORT:-(\d+)\}:\d+", compose))
    listed = [port for row in tables()["Ports"] for port in row[0].split(", ")]
    assert sorted(listed) == sorted(ports)
    assert compose.count("ports:") == len(re.findall(r"ports: \[[^\]]*\$\{\w+_PORT:-\d+\}", compose))


def test_every_guard_is_on_the_page() -> None:
    guards = {path.stem for path in (ROOT / "event_backbone").rglob("*.py") if re.search("_(guard|limit)$", path.stem)}
    assert {row[0].strip("`") for row in tables()["Guards"]} == guards


# What is read ---------------------------------------------------------------------------------------------------------


def names_of(tree: ast.Module) -> dict[str, str]:
    """What a name of a file stands for, as far as it was imported from another package."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] not in PACKAGES:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def calls_of_others(tree: ast.Module) -> Iterator[ast.Call]:
    """Each call of something imported from another package; ``func`` is replaced by its full name."""
    names = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(r"[\w.]+", ast.unparse(node.func)):
            head, dot, rest = ast.unparse(node.func).partition(".")
            if head in names:
                yield ast.Call(ast.Name(f"{names[head]}{dot}{rest}"), node.args, node.keywords)


@cache
def decoding_calls() -> dict[str, list[str]]:
    """What takes content apart, or looks like it, and the files that call it."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for each in calls_of_others(ast.parse(path.read_text(encoding="utf-8"))):
                name = ast.unparse(each.func)
                if LOOKS_LIKE_ONE.search(name):
                    found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def test_every_kind_of_content_that_is_read_is_on_the_page() -> None:
    listed = {row[0] for row in tables()["What is read"]}
    assert {name: files for name, files in decoding_calls().items() if name not in DECODERS} == {}
    assert set(DECODERS) - set(decoding_calls()) == set()
    assert {*DECODERS.values(), *OF_FUZZED.values()} == listed


def test_every_name_of_a_fuzzed_decoder_is_one_of_them() -> None:
    assert set(FUZZED) - set(NAMES) == set()


def test_no_reader_of_ours_executes_what_it_reads() -> None:
    """No loader makes objects of a file's choice: ``safe_load`` alone for YAML, no pickle for NumPy, no ``eval``."""
    assert {name for name in decoding_calls() if name.startswith("yaml.")} == {"yaml.safe_load"}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for each in calls_of_others(tree):
                if ast.unparse(each.func) == "numpy.load":
                    assert "allow_pickle=False" in [ast.unparse(keyword) for keyword in each.keywords], path
            bare = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert bare & {"eval", "exec", "compile", "__import__"} == set(), path
