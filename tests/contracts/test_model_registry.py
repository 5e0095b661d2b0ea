"""The contract of the ModelRegistry port, on each adapter, and on broken ones that must fail it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from s3_server import s3_server

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import ModelRef
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.model.mlflow_registry import MlflowRegistry, mlflow_client, mlflow_errors_translated
from event_backbone.ports import ModelRegistry, RegisteredBundle, RegisteredVersion

FIRST, SECOND = "a" * 64, "b" * 64
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

Check = Callable[[ModelRegistry, str, Path], None]


def _bundle(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(content)
    (folder / "model.onnx").write_bytes(content * 3)
    return folder


def _register(registry: ModelRegistry, run_id: str, bundle: Path, sha256: str, name: str = "streamgauge-x") -> ModelRef:
    return registry.register(bundle, sha256, name=name, alias="champion", run_id=run_id)


def nothing_has_the_alias_yet(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    assert registry.resolve("streamgauge-unknown", "champion") is None
    _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    assert registry.resolve("streamgauge-x", "challenger") is None


def the_alias_names_what_was_registered_last(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    first = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(first, FIRST)
    second = _register(registry, run_id, _bundle(folder / "two", b"2"), SECOND)
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(second, SECOND)


def a_version_is_found_whatever_the_alias_says(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    first = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    second = _register(registry, run_id, _bundle(folder / "two", b"2"), SECOND)
    assert registry.resolve_version("streamgauge-x", first.version) == RegisteredBundle(first, FIRST)
    assert registry.resolve_version("streamgauge-x", second.version) == RegisteredBundle(second, SECOND)


def there_is_no_such_version(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    for version in ("2", "0", "-1", "latest", "", "1.0", "9" * 30):
        assert registry.resolve_version("streamgauge-x", version) is None, version
    assert registry.resolve_version("streamgauge-unknown", "1") is None


def registering_again_makes_another_version(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    bundle = _bundle(folder / "one", b"1")
    assert _register(registry, run_id, bundle, FIRST) != _register(registry, run_id, bundle, FIRST)


def names_do_not_mix(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    bundle = _bundle(folder / "one", b"1")
    _register(registry, run_id, bundle, FIRST, name="streamgauge-x")
    _register(registry, run_id, bundle, SECOND, name="streamgauge-y")
    found = registry.resolve("streamgauge-x", "champion")
    assert found is not None
    assert (found.model.name, found.bundle_sha256) == ("streamgauge-x", FIRST)


def fetching_gives_the_same_files(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    bundle = _bundle(folder / "one", b"1")
    model = _register(registry, run_id, bundle, FIRST)
    registry.fetch(RegisteredBundle(model, FIRST), folder / "deep" / "fetched")
    fetched = {path.name: path.read_bytes() for path in (folder / "deep" / "fetched").iterdir()}
    assert fetched == {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert [path.name for path in (folder / "deep").iterdir()] == ["fetched"]


def a_registered_bundle_is_kept_when_its_folder_goes(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    bundle = _bundle(folder / "one", b"1")
    model = _register(registry, run_id, bundle, FIRST)
    (bundle / "manifest.json").unlink()
    registry.fetch(RegisteredBundle(model, FIRST), folder / "fetched")
    assert (folder / "fetched" / "manifest.json").read_bytes() == b"1"


def a_folder_that_exists_is_not_touched(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    model = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    (folder / "mine").mkdir()
    with pytest.raises(FileExistsError):
        registry.fetch(RegisteredBundle(model, FIRST), folder / "mine")
    assert list((folder / "mine").iterdir()) == []


def an_alias_moves_to_the_version_it_is_given_to(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    first = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    second = _register(registry, run_id, _bundle(folder / "two", b"2"), SECOND)
    for _ in range(2):
        registry.set_alias(first, "champion")
        assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(first, FIRST)
    registry.set_alias(second, "challenger")
    assert registry.resolve("streamgauge-x", "challenger") == RegisteredBundle(second, SECOND)
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(first, FIRST)


def a_dropped_alias_names_nothing(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    model = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    registry.set_alias(model, "challenger")
    for _ in range(2):
        registry.drop_alias("streamgauge-x", "challenger")
        assert registry.resolve("streamgauge-x", "challenger") is None
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(model, FIRST)
    registry.drop_alias("streamgauge-unknown", "challenger")


def versions_come_with_their_aliases_and_tags(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    assert list(registry.versions("streamgauge-x")) == []
    first = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    second = _register(registry, run_id, _bundle(folder / "two", b"2"), SECOND)
    _register(registry, run_id, _bundle(folder / "three", b"3"), SECOND, name="streamgauge-y")
    registry.set_alias(first, "champion")
    registry.set_alias(first, "challenger")
    registry.set_tags(first, {"gate.auc": "0.9", "decided_by": "gate"})
    registry.set_tags(first, {"decided_by": "me \u2713 a|b\nand more"})
    found = registry.versions("streamgauge-x")
    assert [one.model for one in found] == [first, second]
    assert [one.aliases for one in found] == [{"champion", "challenger"}, frozenset()]
    assert [dict(one.tags) for one in found] == [{"gate.auc": "0.9", "decided_by": "me \u2713 a|b\nand more"}, {}]
    assert all(TIMESTAMP.fullmatch(one.registered_at) for one in found)


def a_version_that_is_not_there_gets_no_alias_and_no_tag(registry: ModelRegistry, run_id: str, folder: Path) -> None:
    model = _register(registry, run_id, _bundle(folder / "one", b"1"), FIRST)
    for version in ("2", "latest"):
        with pytest.raises(LookupError):
            registry.set_alias(ModelRef("streamgauge-x", version), "champion")
        with pytest.raises(LookupError):
            registry.set_tags(ModelRef("streamgauge-x", version), {"a": "b"})
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(model, FIRST)


CHECKS: tuple[Check, ...] = (
    nothing_has_the_alias_yet,
    the_alias_names_what_was_registered_last,
    a_version_is_found_whatever_the_alias_says,
    there_is_no_such_version,
    registering_again_makes_another_version,
    names_do_not_mix,
    fetching_gives_the_same_files,
    a_registered_bundle_is_kept_when_its_folder_goes,
    a_folder_that_exists_is_not_touched,
    an_alias_moves_to_the_version_it_is_given_to,
    a_dropped_alias_names_nothing,
    versions_come_with_their_aliases_and_tags,
    a_version_that_is_not_there_gets_no_alias_and_no_tag,
)


@pytest.fixture(scope="module")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with MLflow's tables; making them takes seconds, copying them does not."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    assert MlflowRegistry(f"sqlite:///{path}").resolve("nothing", "champion") is None
    return path.read_bytes()


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "made-up")
        with s3_server() as url:
            yield url


def _s3(url: str) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=url)


@pytest.fixture(params=["memory", "mlflow", pytest.param("mlflow-s3", marks=pytest.mark.real_parts)])
def registry_and_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ModelRegistry, str]]:
    if request.param == "memory":
        yield MemoryRegistry(), "any-run"
        return
    if request.param == "mlflow-s3":
        request.getfixturevalue("s3_url")
    place = str(tmp_path / "artifacts") if request.param == "mlflow" else f"s3://models/{tmp_path.name}"
    (tmp_path / "mlflow.db").write_bytes(request.getfixturevalue("empty_mlflow_database"))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow_client(uri)
    experiment = client.create_experiment("contract", artifact_location=place)
    yield MlflowRegistry(uri), client.create_run(experiment).info.run_id


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_registry_keeps_its_contract(
    check: Check, registry_and_run: tuple[ModelRegistry, str], tmp_path: Path
) -> None:
    registry, run_id = registry_and_run
    check(registry, run_id, tmp_path / "work")


class _ForgetsToMoveTheAlias(MemoryRegistry):
    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef:
        before = self._aliases.get((name, alias))
        model = super().register(bundle_dir, bundle_sha256, name=name, alias=alias, run_id=run_id)
        if before is not None:
            self._aliases[name, alias] = before
        return model


class _KnowsOnlyTheLastVersion(MemoryRegistry):
    def resolve_version(self, name: str, version: str) -> RegisteredBundle | None:
        return super().resolve_version(name, str(len(self._versions.get(name, []))))


class _FetchesHalf(MemoryRegistry):
    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        super().fetch(registered, destination)
        (destination / "model.onnx").unlink()


class _RemembersOnlyTheFolder(MemoryRegistry):
    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef:
        self.folder = bundle_dir
        return super().register(bundle_dir, bundle_sha256, name=name, alias=alias, run_id=run_id)

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        destination.mkdir(parents=True)
        for path in self.folder.iterdir():
            (destination / path.name).write_bytes(path.read_bytes())


class _ForgetsOlderTags(MemoryRegistry):
    def set_tags(self, model: ModelRef, tags: Mapping[str, str]) -> None:
        super().set_tags(model, tags)
        self._tags[model] = dict(tags)


class _NamesAnyVersion(MemoryRegistry):
    def set_alias(self, model: ModelRef, alias: str) -> None:
        self._aliases[model.name, alias] = model.version


class _ListsTheNewestFirst(MemoryRegistry):
    def versions(self, name: str) -> Sequence[RegisteredVersion]:
        return super().versions(name)[::-1]


class _DropsEveryAlias(MemoryRegistry):
    def drop_alias(self, name: str, alias: str) -> None:
        self._aliases.clear()


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (_ForgetsOlderTags, versions_come_with_their_aliases_and_tags),
        (_ListsTheNewestFirst, versions_come_with_their_aliases_and_tags),
        (_NamesAnyVersion, a_version_that_is_not_there_gets_no_alias_and_no_tag),
        (_DropsEveryAlias, a_dropped_alias_names_nothing),
        (_ForgetsToMoveTheAlias, the_alias_names_what_was_registered_last),
        (_KnowsOnlyTheLastVersion, a_version_is_found_whatever_the_alias_says),
        (_KnowsOnlyTheLastVersion, there_is_no_such_version),
        (_FetchesHalf, fetching_gives_the_same_files),
        (_RemembersOnlyTheFolder, a_registered_bundle_is_kept_when_its_folder_goes),
    ],
)
def test_a_broken_adapter_fails_the_suite(broken: type[MemoryRegistry], check: Check, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, OSError, pytest.fail.Exception)):
        check(broken(), "any-run", tmp_path / "work")


def test_a_memory_registry_that_is_away_says_try_again_later() -> None:
    registry = MemoryRegistry()
    registry.away = True
    with pytest.raises(TryAgainLaterError):
        registry.resolve("streamgauge-x", "champion")


def test_an_mlflow_database_that_can_not_be_opened_says_try_again_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")
    with pytest.raises(TryAgainLaterError, match="MLflow at sqlite"):
        registry.resolve("streamgauge-x", "champion")


def test_an_mlflow_server_that_is_away_says_try_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        registry = MlflowRegistry(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(TryAgainLaterError, match="MLflow at http"):
            registry.resolve("streamgauge-x", "champion")


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"<html>log in</html>", b"null", b"[]", b"7", b'{"model_version": []}', b"[" * 100_000, b"\xff"),
        *(b'{"model_version": {"name": 7}}', b'{"registered_model": {"aliases": 7}}', b'{"\\ud800": 1}'),
        b'{"registered_model": {"name": "n"}, "model_versions": [{"version": "x"}]}',
        b'{"registered_model": {"name": "n"}, "model_versions": [{"version": "1", "creation_timestamp": "%d"}]}'
        % 2**62,
    ],
)
def test_an_answer_that_is_not_mlflows_says_try_again_later(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy or another server answers in its place, with 200."""
    from mlflow.utils import rest_utils

    response = requests.Response()
    response.status_code, response._content = 200, answer
    monkeypatch.setattr(rest_utils, "_get_http_response_with_retries", lambda *_args, **_more: response)
    registry = MlflowRegistry("http://127.0.0.1:1")
    said = []
    for ask in (registry.versions, lambda name: registry.resolve(name, "champion")):
        try:
            ask("n")
        except (TryAgainLaterError, BrokenBundleError) as error:
            said.append(str(error))
    assert said
    assert "MLflow at http://127.0.0.1:1" in "".join(said) or "is no bundle" in "".join(said)


@pytest.mark.real_parts
def test_a_bundle_in_a_bucket_that_is_away_or_gone_says_try_again_later(
    s3_url: str, empty_mlflow_database: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow_database)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    _s3(s3_url).create_bucket(Bucket="gone")
    run_id = (
        mlflow_client(uri)
        .create_run(mlflow_client(uri).create_experiment("away", artifact_location="s3://gone/runs"))
        .info.run_id
    )
    registry = MlflowRegistry(uri)
    model = _register(registry, run_id, _bundle(tmp_path / "one", b"1"), FIRST)
    stored = [item["Key"] for item in _s3(s3_url).list_objects_v2(Bucket="gone")["Contents"]]
    assert sorted(Path(key).name for key in stored) == ["manifest.json", "model.onnx"]
    for key in stored:
        _s3(s3_url).delete_object(Bucket="gone", Key=key)
    _s3(s3_url).delete_bucket(Bucket="gone")
    with pytest.raises(TryAgainLaterError, match="MLflow at sqlite"):
        registry.fetch(RegisteredBundle(model, FIRST), tmp_path / "fetched")
    with pytest.raises(TryAgainLaterError, match="MLflow at sqlite"):
        _register(registry, run_id, _bundle(tmp_path / "two", b"2"), SECOND)
    assert registry.resolve("streamgauge-x", "champion") == RegisteredBundle(model, FIRST)


def test_what_is_said_of_a_failure_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        registry = MlflowRegistry(f"http://somebody:secret@127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(TryAgainLaterError, match="MLflow at http") as raised:
            registry.resolve("streamgauge-x", "champion")
    assert "secret" not in str(raised.value)


def test_a_client_that_is_not_installed_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="MLFLOW_ARTIFACTS"), mlflow_errors_translated("sqlite://"):
        raise ModuleNotFoundError("No module named 'google'")
