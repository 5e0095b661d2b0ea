"""API keys: the file, how it is followed, and what lets a request through."""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from event_backbone.errors import SettingsError
from event_backbone.guards.access import Access, GuardedApplication, Guards
from event_backbone.guards.api_keys import CHECK_EVERY_S, ApiKeys, append_line, line_for, new_key, parse_keys
from prediction_service import __main__ as command

EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()
SOME_DIGEST = hashlib.sha256(b"some key").hexdigest()


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as wrong:
        parse_keys(text, "keys")
    return {fault.place: fault.reason for fault in wrong.value.faults}


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class KeysFile:
    """A keys file and who follows it."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.path = folder / "api-keys"
        self.clock = Clock()
        self.write(*lines)

    def write(self, *lines: str) -> None:
        beside = self.path.with_name("new")
        beside.write_text("".join(f"{line}\n" for line in lines))
        beside.rename(self.path)

    def follow(self) -> ApiKeys:
        return ApiKeys(self.path, self.clock)

    def later(self) -> None:
        self.clock.now += CHECK_EVERY_S


# The file -------------------------------------------------------------------------------------------------------------


def test_comments_and_blank_lines_say_nothing() -> None:
    keys = parse_keys(f"# ours\n\n  ada:{SOME_DIGEST}  \n", "keys")
    assert [(key.name, key.digest.hex()) for key in keys] == [("ada", SOME_DIGEST)]


def test_a_name_may_have_several_keys() -> None:
    old, new = line_for("ada", "old"), line_for("ada", "new")
    assert [key.name for key in parse_keys(f"{old}\n{new}\n", "keys")] == ["ada", "ada"]


def test_every_fault_is_named_by_its_line() -> None:
    lines = [
        "just-a-name",
        f"two words:{SOME_DIGEST}",
        "ada:abc",
        f"ada:{SOME_DIGEST}:tomorrow",
        f"ada:{SOME_DIGEST}:2026-01-31T08:00:00",
        f"# {SOME_DIGEST}",
        f"ada:{SOME_DIGEST}",
        f"bob:{SOME_DIGEST}",
        f"eve:{EMPTY_DIGEST}",
        f"ada:{SOME_DIGEST.upper()}",
    ]
    assert faults_of("\n".join(lines)) == {
        "line 1": "digest",
        "line 2": "name",
        "line 3": "digest",
        "line 4": "expires",
        "line 5": "expires",
        "line 8": "twice",
        "line 9": "empty",
        "line 10": "digest",
    }


def test_a_line_that_holds_a_key_by_mistake_is_not_shown() -> None:
    key = new_key()
    with pytest.raises(SettingsError) as wrong:
        parse_keys(f"ada:{key}\n{key}\n", "keys")
    assert key not in str(wrong.value)


@pytest.mark.parametrize("text", ["", "# nobody yet\n", f"ada:{SOME_DIGEST}:2020-01-01\n"])
def test_a_file_without_a_live_key_is_refused(text: str) -> None:
    assert faults_of(text) == {"(file)": "no_key"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        ApiKeys(tmp_path / "keys")


# Who is let in --------------------------------------------------------------------------------------------------------


def test_every_key_of_the_file_is_accepted_and_no_other_text(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    keys = KeysFile(tmp_path, line_for("ada", first), line_for("bob", second)).follow()
    assert keys.accepts(first)
    assert keys.accepts(second)
    for other in ("", new_key(), first[:-1], first + " ", first.swapcase(), line_for("ada", first), "ключ", "\udcff"):
        assert not keys.accepts(other)


def test_a_key_is_refused_from_its_last_moment_on(tmp_path: Path) -> None:
    file = KeysFile(tmp_path, f"{line_for('ada', 'k')}:2027-01-15T08:00:10Z", line_for("bob", "other"))
    keys = file.follow()
    assert keys.accepts("k")
    file.clock.now += 9.9
    assert keys.accepts("k")
    file.clock.now += 0.1
    assert not keys.accepts("k")


def test_a_day_means_its_first_moment_in_utc(tmp_path: Path) -> None:
    [key] = parse_keys(f"ada:{SOME_DIGEST}:2999-12-31", "keys")
    assert key.expires_at == 32_503_593_600.0


# Following the file ---------------------------------------------------------------------------------------------------


def test_a_key_is_replaced_without_a_restart_and_without_a_gap(tmp_path: Path) -> None:
    file = KeysFile(tmp_path, line_for("ada", "old"))
    keys = file.follow()
    file.write(line_for("ada", "old"), line_for("ada", "new"))
    file.later()
    assert keys.accepts("old")
    assert keys.accepts("new")
    file.write(line_for("ada", "new"))
    file.later()
    assert not keys.accepts("old")
    assert keys.accepts("new")


def test_a_clock_that_is_set_back_does_not_keep_the_file_from_being_read(tmp_path: Path) -> None:
    file = KeysFile(tmp_path, line_for("ada", "old"))
    keys = file.follow()
    file.write(line_for("ada", "new"))
    file.clock.now -= 86_400
    assert not keys.accepts("old")


@pytest.mark.parametrize("broken", [["ada:too-short"], [], ["# all gone"]])
def test_a_broken_file_keeps_the_keys_of_before_and_says_so_once(tmp_path: Path, broken: list[str]) -> None:
    file = KeysFile(tmp_path, line_for("ada", "old"))
    keys = file.follow()
    with capture_logs() as logs:
        file.write(*broken)
        for _ in range(3):
            file.later()
            assert keys.accepts("old")
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("api_keys_file_broken", "error")]


def test_a_file_that_is_gone_keeps_the_keys_until_it_is_back(tmp_path: Path) -> None:
    file = KeysFile(tmp_path, line_for("ada", "old"))
    keys = file.follow()
    file.path.unlink()
    with capture_logs() as logs:
        file.later()
        assert keys.accepts("old")
    assert [entry["event"] for entry in logs] == ["api_keys_file_broken"]
    file.write(line_for("ada", "new"))
    file.later()
    assert keys.accepts("new")


def test_no_log_and_no_error_holds_a_key(tmp_path: Path) -> None:
    key = new_key()
    file = KeysFile(tmp_path, line_for("ada", "old"))
    keys = file.follow()
    with capture_logs() as logs:
        file.write(f"ada:{key}")
        file.later()
        keys.accepts(key)
    assert logs
    assert key not in str(logs)


# The command ----------------------------------------------------------------------------------------------------------


def new_by_command(*arguments: str) -> tuple[str, str]:
    ended = CliRunner().invoke(command.cli, ["keys", "new", *arguments])
    assert ended.exit_code == 0, ended.output
    shown = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    return shown["key"], shown["line"]


def test_the_command_prints_a_key_and_its_line() -> None:
    key, line = new_by_command("--name", "ada")
    assert line == f"ada:{hashlib.sha256(key.encode()).hexdigest()}"
    assert len(key) == 43
    assert key != new_by_command("--name", "ada")[0]


def test_the_command_makes_the_file_for_its_owner_alone_and_adds_to_it(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    first, _ = new_by_command("--name", "ada", "--append", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text().rstrip("\n"))  # an editor may leave out the last line end
    second, _ = new_by_command("--name", "ada", "--append", str(path))
    keys = ApiKeys(path)
    assert keys.accepts(first)
    assert keys.accepts(second)
    assert first not in path.read_text()


def test_a_name_that_cannot_stand_in_the_file_is_refused(tmp_path: Path) -> None:
    ended = CliRunner().invoke(command.cli, ["keys", "new", "--name", "a:b", "--append", str(tmp_path / "keys")])
    assert isinstance(ended.exception, SettingsError)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file or directory"):
        append_line(tmp_path / "nowhere" / "keys", "ada:1")


# The guard ------------------------------------------------------------------------------------------------------------


class Gate:
    """A guard in front of an application that answers 204; ``KEY`` is the one good key."""

    KEY = "good-key"

    def __init__(self) -> None:
        self.refused = 0
        self.body = b""
        self.sent: Any = io.BytesIO()
        self.headers: dict[str, str] = {}
        access = Access(keys=self, forms=frozenset({"/form", "/reports/"}))
        self._guard = GuardedApplication(self._application, Guards(access, self._count))

    def accepts(self, presented: str) -> bool:
        return presented == self.KEY

    def _count(self) -> None:
        self.refused += 1

    @staticmethod
    def _application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read(1)
        start_response("204 No Content", [])
        return []

    def status(self, method: str, path: str, **headers: str) -> int:
        seen: list[str] = []

        def start_response(status: str, found: list[tuple[str, str]], *_rest: Any) -> Any:
            seen.append(status[:3])
            self.headers = dict(found)

        request = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": self.sent, **headers}
        self.body = b"".join(self._guard(request, start_response))
        return int(seen[0])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    ["/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/", "/docs/dist/ui.css", "/static/form.css"],
)
def test_probes_metrics_and_pages_without_data_need_no_key(method: str, path: str) -> None:
    assert Gate().status(method, path) == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/predict/batch"),
        ("POST", "/labels"),
        ("POST", "/events"),
        ("POST", "/"),
        ("POST", "/metrics"),
        ("POST", "/static/form.css"),
        ("GET", "/form"),
        ("DELETE", "/predictions/r1"),
        ("OPTIONS", "/predict"),
        ("GET", "/predictions"),
        ("GET", "/predictions/r1"),
        ("GET", "/status"),
        ("GET", "/api/state"),
        ("GET", "/api/history"),
        ("GET", "/reports/latest"),
        ("GET", "//"),
        ("GET", "/livez/"),
        ("GET", "/staticfile"),
        ("GET", "/unknown"),
        ("GET", ""),
    ],
)
def test_everything_else_needs_a_key(method: str, path: str) -> None:
    gate = Gate()
    assert gate.status(method, path) == 401
    assert gate.refused == 1
    for headers in ({"HTTP_AUTHORIZATION": "Bearer good-key"}, {"HTTP_X_API_KEY": "good-key"}):
        assert gate.status(method, path, **headers) == 204


def test_forms_below_a_folder_are_let_through_and_the_folder_is_read_with_a_key_only() -> None:
    gate = Gate()
    assert gate.status("POST", "/reports/one.html") == 204
    assert gate.status("GET", "/reports/one.html") == 401
    assert gate.status("POST", "/api/reports") == 401
    assert gate.status("POST", "/reportsx") == 401


def test_a_form_is_let_through_to_whoever_reads_its_key() -> None:
    assert Gate().status("POST", "/form") == 204


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer good-key", 204),
        ("bearer  good-key ", 204),
        ("Bearer bad-key", 401),
        ("Bearer", 401),
        ("", 401),
        ("good-key", 401),
        ("Basic good-key", 401),
    ],
)
def test_the_key_follows_the_word_bearer(authorization: str, status: int) -> None:
    assert Gate().status("POST", "/predict", HTTP_AUTHORIZATION=authorization) == status


def test_a_refusal_is_a_problem_document_that_asks_for_a_key() -> None:
    gate = Gate()
    gate.status("POST", "/predict", HTTP_X_API_KEY="my-secret")
    problem = msgspec.json.decode(gate.body)
    assert gate.headers["WWW-Authenticate"] == "Bearer"
    assert gate.headers["Content-Type"] == "application/problem+json"
    assert gate.headers["Content-Length"] == str(len(gate.body))
    assert (problem["title"], problem["status"]) == ("Unauthorized", 401)
    assert b"my-secret" not in gate.body
