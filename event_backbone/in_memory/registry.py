"""A model registry in memory: for tests, and as the plainest implementation of the port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import ModelRef, utc_now
from event_backbone.ports import RegisteredBundle, RegisteredVersion


class MemoryRegistry:
    """Keeps bundles as bytes; set ``away`` to act like a registry that can't be reached."""

    def __init__(self) -> None:
        self.away = False
        self._versions: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._tags: dict[ModelRef, dict[str, str]] = {}
        self._registered_at: dict[ModelRef, str] = {}

    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef:
        self._check_reachable()
        files = {path.name: path.read_bytes() for path in sorted(bundle_dir.iterdir())}
        versions = self._versions.setdefault(name, [])
        versions.append((bundle_sha256, files))
        version = self._aliases[name, alias] = str(len(versions))
        model = ModelRef(name, version)
        self._registered_at[model], self._tags[model] = utc_now(), {}
        return model

    def resolve(self, name: str, alias: str) -> RegisteredBundle | None:
        self._check_reachable()
        version = self._aliases.get((name, alias))
        return None if version is None else self.resolve_version(name, version)

    def resolve_version(self, name: str, version: str) -> RegisteredBundle | None:
        self._check_reachable()
        versions = {str(number): sha256 for number, (sha256, _) in enumerate(self._versions.get(name, []), start=1)}
        return RegisteredBundle(ModelRef(name, version), versions[version]) if version in versions else None

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        self._check_reachable()
        _, files = self._versions[registered.model.name][int(registered.model.version) - 1]
        destination.mkdir(parents=True)
        for name, content in files.items():
            (destination / name).write_bytes(content)

    def set_alias(self, model: ModelRef, alias: str) -> None:
        self._check_there(model)
        self._aliases[model.name, alias] = model.version

    def drop_alias(self, name: str, alias: str) -> None:
        self._check_reachable()
        self._aliases.pop((name, alias), None)

    def set_tags(self, model: ModelRef, tags: Mapping[str, str]) -> None:
        self._check_there(model)
        self._tags[model] |= tags

    def versions(self, name: str) -> Sequence[RegisteredVersion]:
        self._check_reachable()
        return [
            RegisteredVersion(model, self._registered_at[model], self._aliases_of(model), dict(tags))
            for model, tags in self._tags.items()
            if model.name == name
        ]

    def _aliases_of(self, model: ModelRef) -> frozenset[str]:
        return frozenset(alias for (name, alias), version in self._aliases.items() if model == ModelRef(name, version))

    def _check_there(self, model: ModelRef) -> None:
        if self.resolve_version(model.name, model.version) is None:
            raise LookupError(f"there is no version {model.version} of {model.name}")

    def _check_reachable(self) -> None:
        if self.away:
            raise TryAgainLaterError("the model registry is away")
