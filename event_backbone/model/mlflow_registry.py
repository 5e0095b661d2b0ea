"""The model registry port on MLflow.

A bundle is logged as plain files of its run and registered by reference, with its sha256 as a tag of the version; no
MLflow flavour and no pickle is involved.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events.schema import ModelRef, format_utc
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.ports import RegisteredBundle, RegisteredVersion
from event_backbone.process.urls import without_logins

#: The tag of a model version that holds its bundle's digest.
DIGEST_TAG = "bundle_sha256"

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ARTIFACT_FOLDER = "bundle"
_PAGE = 200
#: Raised by MLflow's client (3.17.2), beside its own, for an answer that is not of its server's form: a proxy's page,
#: that of another version. The last is protobuf's (7.36.2) for a name with half of a surrogate pair.
_NO_ANSWER = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, SystemError)
_NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})

# MLflow reads these when it is imported or asked. Its own patience (120 s a request, seven retries) would stop a
# sidecar from delivering; whoever runs a slow server can set longer ones.
_QUIET_AND_BOUNDED = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    # Artifacts on S3 are moved by boto3, with credentials from the environment or its own files.
    "AWS_MAX_ATTEMPTS": "2",
}


def mlflow_client(tracking_uri: str) -> Any:
    """A client for runs and registry; the first call in a process takes seconds, for the import.

    Raises:
        TryAgainLaterError: the database can't be opened.
    """
    for name, value in _QUIET_AND_BOUNDED.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with mlflow_errors_translated(tracking_uri):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextmanager
def mlflow_errors_translated(tracking_uri: str) -> Iterator[None]:
    """Whatever MLflow, its database, its server or its artifact store raises becomes :class:`TryAgainLaterError`.

    Raises :class:`SettingsError` when the client of a database or an artifact store is not installed.
    """
    try:
        yield
    except _errors_of_mlflow() as error:
        reason = without_logins(str(error).partition("\n")[0])[:200].encode(errors="replace").decode()
        where = without_logins(tracking_uri)
        raise TryAgainLaterError(f"MLflow at {where}: {reason}", retry_after_s=10.0) from error
    except ImportError as error:
        message = f"what it names needs a client that is not installed ({error})"
        place = "MLFLOW_TRACKING_URI or MLFLOW_ARTIFACTS"
        raise SettingsError("MLflow", [Fault(place, "no_client", message)]) from error


def _errors_of_mlflow() -> tuple[type[Exception], ...]:
    """Those of S3's client only when something was asked of S3: importing it takes a while."""
    from google.protobuf.json_format import ParseError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    errors = (MlflowException, SQLAlchemyError, OSError, ParseError, *_NO_ANSWER)
    if "botocore" not in sys.modules:
        return errors
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (*errors, Boto3Error, BotoCoreError, ClientError)


class MlflowRegistry:
    """Bundles in MLflow's model registry; a SQLite database and a server are the same to it."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._made_client: Any = None

    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef:
        client = self._client()
        with mlflow_errors_translated(self._uri):
            client.log_artifacts(run_id, str(bundle_dir), artifact_path=_ARTIFACT_FOLDER)
            source = f"{client.get_run(run_id).info.artifact_uri}/{_ARTIFACT_FOLDER}"
            if _none_if_missing(lambda: client.get_registered_model(name)) is None:
                client.create_registered_model(name)
            tags = {DIGEST_TAG: bundle_sha256}
            version = str(client.create_model_version(name, source=source, run_id=run_id, tags=tags).version)
            client.set_registered_model_alias(name, alias, version)
        return ModelRef(name, version)

    def resolve(self, name: str, alias: str) -> RegisteredBundle | None:
        client = self._client()
        return self._resolved(name, lambda: client.get_model_version_by_alias(name, alias))

    def resolve_version(self, name: str, version: str) -> RegisteredBundle | None:
        # Databases and servers answer what can be no version each in their own way.
        if not _VERSION.fullmatch(version):
            return None
        client = self._client()
        return self._resolved(name, lambda: client.get_model_version(name, version))

    def _resolved(self, name: str, ask: Callable[[], Any]) -> RegisteredBundle | None:
        with mlflow_errors_translated(self._uri):
            found = _none_if_missing(ask)
        if found is None:
            return None
        if DIGEST_TAG not in found.tags:
            raise BrokenBundleError(f"version {found.version} of {name} has no tag {DIGEST_TAG}: it is no bundle")
        return RegisteredBundle(ModelRef(name, str(found.version)), found.tags[DIGEST_TAG])

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        if destination.exists():
            raise FileExistsError(destination)
        destination.parent.mkdir(parents=True, exist_ok=True)
        client = self._client()
        with (
            tempfile.TemporaryDirectory(dir=destination.parent) as workspace,
            mlflow_errors_translated(self._uri),
        ):
            from mlflow.artifacts import download_artifacts

            model = registered.model
            source = client.get_model_version_download_uri(model.name, model.version)
            Path(download_artifacts(source, dst_path=workspace, tracking_uri=self._uri)).rename(destination)

    def set_alias(self, model: ModelRef, alias: str) -> None:
        client = self._client()
        self._check_there(model)
        with mlflow_errors_translated(self._uri):
            client.set_registered_model_alias(model.name, alias, model.version)

    def drop_alias(self, name: str, alias: str) -> None:
        client = self._client()
        with mlflow_errors_translated(self._uri):
            _none_if_missing(lambda: client.delete_registered_model_alias(name, alias))

    def set_tags(self, model: ModelRef, tags: Mapping[str, str]) -> None:
        client = self._client()
        self._check_there(model)
        with mlflow_errors_translated(self._uri):
            for key, value in tags.items():
                client.set_model_version_tag(model.name, model.version, key, value)

    def versions(self, name: str) -> Sequence[RegisteredVersion]:
        client = self._client()
        with mlflow_errors_translated(self._uri):
            registered = _none_if_missing(lambda: client.get_registered_model(name))
            return [] if registered is None else _versions_of(registered, _all_versions(client, name))

    def _check_there(self, model: ModelRef) -> None:
        """MLflow's own word for a missing version does not tell it from other mistakes."""
        if self.resolve_version(model.name, model.version) is None:
            raise LookupError(f"there is no version {model.version} of {model.name}")

    def _client(self) -> Any:
        if self._made_client is None:
            client = mlflow_client(self._uri)
            with mlflow_errors_translated(self._uri):
                # The first question opens the database, or asks the server whether it is there.
                client.search_registered_models(max_results=1)
            self._made_client = client
        return self._made_client


def _all_versions(client: Any, name: str) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name='{name}'", max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _versions_of(registered: Any, found: Sequence[Any]) -> list[RegisteredVersion]:
    aliases: dict[str, set[str]] = {}
    for alias, version in registered.aliases.items():
        aliases.setdefault(str(version), set()).add(alias)
    return [
        RegisteredVersion(
            ModelRef(registered.name, str(one.version)),
            _as_utc(one.creation_timestamp),
            frozenset(aliases.get(str(one.version), ())),
            {key: value for key, value in one.tags.items() if key != DIGEST_TAG},
        )
        for one in sorted(found, key=lambda one: int(one.version))
    ]


def _as_utc(milliseconds: int) -> str:
    return format_utc(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _none_if_missing(ask: Callable[[], Any]) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in _NOT_THERE:
            return None
        raise
