"""What docker-compose.yml promises of every service, and the two scripts that run in containers."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import runpy
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import bcrypt
import pytest
import yaml

from event_backbone.guards.api_keys import parse_keys
from event_backbone.process.file_lock import try_lock

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: Mapping[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"secrets", "topics", "mongo-setup", "trainer", "alert-routes"}
MAKE_SECRETS = runpy.run_path(str(ROOT / "containers" / "make_secrets.py"))
HEALTHCHECK = runpy.run_path(str(ROOT / "containers" / "healthcheck.py"))
SETTINGS_PAGE = runpy.run_path(str(ROOT / "docs" / "generate.py"))

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_a_service_can_do_no_more_than_it_has_to(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)


@each_service
def test_a_service_of_others_names_a_user_that_is_not_root(name: str) -> None:
    service = SERVICES[name]
    if not service["image"].startswith("streamgauge/"):
        assert int(service["user"].partition(":")[0]) > 0


def test_the_image_of_ours_ends_as_a_fixed_user() -> None:
    assert (ROOT / "Dockerfile").read_text(encoding="utf-8").rstrip().endswith("USER 10001:10001")


def _copied_from_here() -> list[str]:
    """Source paths of the image's COPY lines, by service where they name one; all but those of an earlier stage."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
    sources = [source for words in lines if not words[0].startswith("--from=") for source in words[:-1]]
    built = {service["build"]["args"]["SERVICE"] for service in SERVICES.values() if "build" in service}
    return sorted({source.replace("${SERVICE}", service) for source in sources for service in built})


def _is_sent(path: str, patterns: Sequence[str]) -> bool:
    """Whether the builder gets it: the last pattern that matches it, or a folder above it, decides.

    See https://docs.docker.com/build/concepts/context/#dockerignore-files; ``**/`` also stands for no folder.
    """
    tried = [path, *map(str, PurePosixPath(path).parents)]
    sent = True
    for pattern in patterns:
        glob = pattern.removeprefix("!").removeprefix("**/")
        places = [PurePosixPath(one).name for one in tried] if "**/" in pattern else tried
        if any(fnmatchcase(place, glob) for place in places):
            sent = pattern.startswith("!")
    return sent


@pytest.mark.parametrize("path", _copied_from_here())
def test_what_the_image_copies_is_there_and_is_sent_to_the_builder(path: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert (ROOT / path).exists()
    assert path == "." or _is_sent(path, patterns)


def test_what_the_ignore_file_leaves_out_is_told_from_what_it_lets_through() -> None:
    patterns = ["*", "!here", "!some/one.py", "**/cache"]
    assert _is_sent("here/deep/file.py", patterns)
    assert _is_sent("some/one.py", patterns)
    assert not any(_is_sent(path, patterns) for path in ("some/other.py", "there.py", "here/cache/x", "cache"))


@each_service
def test_what_runs_on_has_a_health_check_and_is_started_again(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOTS:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


@each_service
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@each_service
def test_waiting_for_another_service_means_until_it_is_well_or_done(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert condition == {"condition": expected}


@each_service
def test_no_secret_stands_in_an_environment(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"PASSWORD|KEY|SECRET|TOKEN", variable):
            assert value in ("", "/run/streamgauge-secrets") or value.startswith("/run/streamgauge-secrets/"), variable


def _fresh() -> dict[str, str]:
    return {name: make() for name, make in MAKE_SECRETS["MADE"].items()}


def test_every_secret_that_a_service_needs_is_made_for_its_volume() -> None:
    made = MAKE_SECRETS["files_for"](_fresh())
    mounted = {
        volume.split(":")[0].removeprefix("secrets-")
        for name, service in SERVICES.items()
        for volume in service.get("volumes", [])
        if volume.startswith("secrets-") and name != "secrets"
    }
    assert mounted == set(made)
    folders = re.search(r"for name in ([a-z ]+);", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert folders is not None
    assert {*made, "master"} == set(folders[1].split())
    assert {f"secrets-{name}" for name in (*made, "master")} <= set(COMPOSE["volumes"])


def test_one_service_alone_builds_each_image_of_ours() -> None:
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    used = {service["image"] for service in SERVICES.values() if service["image"].startswith("streamgauge/")}
    assert sorted(built) == sorted(used)


def test_images_of_others_are_pinned_by_version() -> None:
    images = dict(re.findall(r"\$\{([A-Z]+_IMAGE):-([^}]*)\}", COMPOSE_TEXT))
    assert {name: image for name, image in images.items() if not re.search(r":v?\d+\.\d+\.\d+", image)} == {}


def test_every_variable_is_a_setting_or_is_explained() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE_TEXT))
    explained = set(COMPOSE["x-variables"])
    settings = {name.upper() for kind in SETTINGS_PAGE["READERS"].values() for name in kind.model_fields}
    assert used <= explained | settings
    assert explained <= used


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "containers" / "locks").glob("*.lock")))
def test_an_image_installs_the_versions_that_were_tested(name: str) -> None:
    """``make lock`` writes all of them."""
    locked, tested = (
        set(re.findall(r"^[A-Za-z0-9_.-]+(?:\[[a-z0-9,-]+\])?==\S+", path.read_text(), re.MULTILINE))
        for path in (ROOT / "containers" / "locks" / name, ROOT / "requirements.lock")
    )
    assert locked
    assert locked <= tested
    assert "://" not in (ROOT / "containers" / "locks" / name).read_text()


def _made(root: Path) -> dict[str, str]:
    for folder in (MAKE_SECRETS["MASTER"], *MAKE_SECRETS["files_for"](_fresh())):
        (root / folder).mkdir(exist_ok=True)
    assert MAKE_SECRETS["main"](["--root", str(root), "make"]) == 0
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = _made(tmp_path)
    assert _made(tmp_path) == first
    given_or_no_secret = re.compile(r"/alert_|_salt$")
    assert {len(text) > 40 for name, text in first.items() if not given_or_no_secret.search(name)} == {True}


def test_a_secret_that_was_removed_is_made_anew_for_everybody_who_uses_it(tmp_path: Path) -> None:
    first = _made(tmp_path)
    (tmp_path / "master" / "kafka_password").unlink()
    again = _made(tmp_path)
    changed = {name for name in first if again[name] != first[name]}
    assert changed == {f"{place}/kafka_password" for place in ("master", "replica", "monitoring", "kafka")}


def test_files_of_secrets_are_for_owner_and_group(tmp_path: Path) -> None:
    _made(tmp_path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o440}


def test_the_keys_that_are_made_open_the_services(tmp_path: Path) -> None:
    files = _made(tmp_path)
    for service, holders in (
        ("replica", ("operator_api_key", "generator_api_key")),
        ("monitoring", ("operator_api_key", "monitoring_api_key")),
        ("training", ("operator_api_key", "training_api_key", "alert_training_key")),
    ):
        digests = {key.digest for key in parse_keys(files[f"{service}/api_keys"], service)}
        keys = (files[f"master/{holder}"] for holder in holders)
        assert digests == {hashlib.sha256(key.encode()).digest() for key in keys}
    assert files["generator/api_key"] == files["master/generator_api_key"]
    assert files["replica/monitoring_api_key"] == files["master/monitoring_api_key"]
    assert files["monitoring/training_api_key"] == files["master/training_api_key"]
    assert files["alertmanager/alert_training_key"] == files["master/alert_training_key"]


LOGINS = ("prometheus", "alertmanager")


@pytest.mark.parametrize("service", LOGINS)
def test_a_login_is_asked_for_by_the_hash_of_the_password_that_clients_have(service: str, tmp_path: Path) -> None:
    files = _made(tmp_path)
    password = files[f"master/{service}_password"]
    asks, shows = (yaml.safe_load(files[f"{service}/{name}.yml"]) for name in ("web", "client"))
    [(name, hashed)] = asks["basic_auth_users"].items()
    assert bcrypt.checkpw(password.encode(), hashed.encode())
    assert password not in files[f"{service}/web.yml"]
    assert asks["http_server_config"]["headers"]["X-Frame-Options"] == "deny"
    login = {"username": name, "password_file": f"/run/streamgauge-secrets/{service}_password"}
    assert shows == {"basic_auth": login}
    assert "--web.config.file=/run/streamgauge-secrets/web.yml" in SERVICES[service]["command"]
    assert f"secrets-{service}:/run/streamgauge-secrets:ro" in SERVICES[service]["volumes"]
    for client in (service, "prometheus", *(["grafana"] if service == "prometheus" else [])):
        assert files[f"{client}/{service}_password"] == password


def test_grafana_logs_in_at_prometheus_by_a_file_that_it_has() -> None:
    [path] = (ROOT / "grafana" / "provisioning" / "datasources").iterdir()
    [source] = yaml.safe_load(path.read_text())["datasources"]
    assert (source["basicAuth"], source["basicAuthUser"]) == (True, MAKE_SECRETS["LOGIN_NAME"])
    file = "/run/streamgauge-secrets/prometheus_password"
    assert source["secureJsonData"] == {"basicAuthPassword": f"$__file{{{file}}}"}
    assert PurePosixPath(file).name in MAKE_SECRETS["files_for"](_fresh())["grafana"]
    assert "secrets-grafana:/run/streamgauge-secrets:ro" in SERVICES["grafana"]["volumes"]


@pytest.mark.parametrize("given", ["", "too-short", "with-a-$dollar-sign", "x" * 73])
def test_a_password_that_bcrypt_or_grafana_would_read_as_another_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _made(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    with pytest.raises(SystemExit) as ended:
        MAKE_SECRETS["main"](["--root", str(tmp_path), "set", "prometheus_password"])
    assert ended.value.code == 2
    assert "takes 16 to 72 letters" in capsys.readouterr().err
    assert _made(tmp_path) == before


def test_a_login_changes_with_its_password_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _made(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("another-password-of-people"))
    assert MAKE_SECRETS["main"](["--root", str(tmp_path), "set", "prometheus_password"]) == 0
    again = _made(tmp_path)
    places = ("master", "prometheus", "grafana")
    changed = {*(f"{place}/prometheus_password" for place in places), "prometheus/web.yml"}
    assert {name for name in first if again[name] != first[name]} == changed


def test_alertmanager_shows_its_key_to_a_training_server_that_asks_for_keys() -> None:
    asked, routes = SERVICES["training"], SERVICES["alert-routes"]
    assert asked["environment"]["API_KEYS_FILE"] == "/run/streamgauge-secrets/api_keys"
    assert "secrets-training:/run/streamgauge-secrets:ro" in asked["volumes"]
    assert routes["environment"]["ALERT_TRAINING_KEY_FILE"] == "/run/streamgauge-secrets/alert_training_key"
    for name in ("alert-routes", "alertmanager"):
        assert "secrets-alertmanager:/run/streamgauge-secrets:ro" in SERVICES[name]["volumes"]


def test_no_health_check_names_a_password() -> None:
    passwords = [name for name in MAKE_SECRETS["MADE"] if name.endswith("_password")]
    for name, service in SERVICES.items():
        assert not [word for word in service.get("healthcheck", {}).get("test", []) for one in passwords if one in word]
        assert "://streamgauge:" not in str(service.get("healthcheck")), name


def test_a_secret_of_somebody_else_is_taken_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _made(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("https://alerts.example/hook\n"))
    assert MAKE_SECRETS["main"](["--root", str(tmp_path), "set", "alert_webhook_url"]) == 0
    assert (tmp_path / "alertmanager" / "alert_webhook_url").read_text() == "https://alerts.example/hook"
    MAKE_SECRETS["main"](["--root", str(tmp_path), "show", "alert_webhook_url"])
    assert capsys.readouterr().out == "https://alerts.example/hook\n"


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests say what went wrong."""


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_service_is_well_when_it_answers_200(address: str) -> None:
    assert HEALTHCHECK["main"](["answers", f"{address}/readyz"]) == 0
    assert HEALTHCHECK["main"](["answers", f"{address}/other"]) == 1
    assert HEALTHCHECK["main"](["answers", "http://127.0.0.1:1/readyz"]) == 1


def test_a_sidecar_is_well_when_every_journal_is_relayed_by_somebody(tmp_path: Path) -> None:
    assert HEALTHCHECK["relayed"](str(tmp_path)) is None
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / "journal.sqlite").touch()
    assert HEALTHCHECK["relayed"](str(tmp_path)) == "nobody relays 00"
    lock = try_lock(tmp_path / "00" / "relay.lock")
    assert lock is not None
    assert HEALTHCHECK["relayed"](str(tmp_path)) is None
    lock.release()
    assert HEALTHCHECK["relayed"](str(tmp_path)) == "nobody relays 00"


def test_a_generator_is_well_while_it_holds_a_connection(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    table = tmp_path / "tcp"
    table.write_text(head + "   0: 0200000A:25E0 00000000:0000 0A 00000000:00000000\n")
    assert HEALTHCHECK["connected"]("9696", (str(table),)) == "no connection to port 9696"
    table.write_text(head + "   1: 0200000A:C350 0300000A:25E0 01 00000000:00000000\n")
    assert HEALTHCHECK["connected"]("9696", (str(table),)) is None
    table.write_text(head + "   1: 0200000A:C350 0300000A:25E0 06 00000000:00000000\n")
    assert HEALTHCHECK["connected"]("9696", (str(table),)) is not None
