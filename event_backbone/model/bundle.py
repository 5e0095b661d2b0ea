"""The model bundle: a folder with a model and everything its users need, each file under a digest.

The manifest names every file with its sha256, and the digest of the manifest's bytes names the bundle. Opening checks
all of them, and only JSON, YAML, ONNX, UBJ and Parquet are inside: nothing in a bundle is ever executed.
"""

from __future__ import annotations

import errno
import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml
from msgspec import Struct

from event_backbone.case.files import load_case
from event_backbone.case.schema import Case
from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import SettingsError, StreamgaugeError, shortened
from event_backbone.events.schema import ModelRef, utc_now
from event_backbone.model.bundle_files import fault_in_content, fault_in_name, unlisted_files
from event_backbone.ports import ModelRegistry, RegisteredBundle
from event_backbone.process.files import make_folder, put_in_place, replace_file

FORMAT = 1
MANIFEST = "manifest.json"
CASE_FILE = "case.yaml"

#: The alias of the model version that is in use.
CHAMPION_ALIAS = "champion"
#: The alias of the version that was registered last and has not replaced the champion.
CHALLENGER_ALIAS = "challenger"

Content = TypeVar("Content")

_SHA256 = re.compile(r"[0-9a-f]{64}")


def registered_name(case: Case) -> str:
    """The name a case's bundles are registered under."""
    return f"streamgauge-{case.name}"


class BrokenBundleError(StreamgaugeError):
    """A bundle that does not match its digests: it must not be served; an earlier one stays in use."""


def decode_file(content: bytes, kind: type[Content], *, at: object, known_format: int | None = None) -> Content:
    """Decode a JSON file of a bundle; ``at`` names it in messages.

    Raises:
        BrokenBundleError: it is not of this ``kind``, or has another ``format`` than the one that is known.
    """
    try:
        decoded = decode_bounded(content, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenBundleError(f"{at}: {error}") from None
    found = getattr(decoded, "format", None)
    if found != known_format:
        raise BrokenBundleError(f"{at}: format {found} is unknown, this is format {known_format}")
    return decoded


class _Manifest(Struct, frozen=True):
    format: int
    case: str
    case_sha256: str
    task: str
    created_at: str
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; ``files`` maps each name to its sha256."""

    path: Path
    sha256: str
    case: Case
    files: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The bytes of one file, checked again; raises :class:`BrokenBundleError` naming the file."""
        if name not in self.files:
            raise BrokenBundleError(f"bundle {self.path}: {name} is not in the manifest")
        return _read_checked(self.path / name, self.files[name])

    def decode(self, name: str, kind: type[Content]) -> Content:
        """One JSON file as a ``kind``; raises :class:`BrokenBundleError` naming the file."""
        return decode_file(self.read(name), kind, at=f"bundle {self.sha256[:12]}: {name}")


def write_bundle(directory: Path, case: Case, parts: Mapping[str, bytes]) -> str:
    """Write the parts, the case file and the manifest into a new ``directory``; return the bundle's sha256."""
    directory.mkdir(parents=True)
    contents = {**parts, CASE_FILE: _case_as_yaml(case)}
    for name, content in contents.items():
        _check_file_name(directory, name)
        (directory / name).write_bytes(content)
    manifest = _Manifest(
        format=FORMAT,
        case=case.name,
        case_sha256=case.sha256,
        task=case.task,
        created_at=utc_now(),
        files={name: _digest(content) for name, content in sorted(contents.items())},
    )
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / MANIFEST).write_bytes(body)
    return _digest(body)


def open_bundle(path: Path, expected_sha256: str | None = None) -> Bundle:
    """Check every file of the bundle in ``path``; nothing of it is loaded.

    Raises:
        BrokenBundleError: naming the file that is missing, unreadable, not what its digest says, in no manifest, or of
            a kind that has no business in a bundle.
    """
    sha256, manifest = _checked_manifest(path, expected_sha256)
    for name in unlisted_files(path, frozenset(manifest.files) | {MANIFEST}):
        raise BrokenBundleError(f"{path / name}: is not in the manifest")
    for name, digest in manifest.files.items():
        _check_file_name(path, name)
        if fault := fault_in_content(_read_checked(path / name, digest)):
            raise BrokenBundleError(f"{path / name}: {fault}")
    return Bundle(path, sha256, _load_case(path, manifest), manifest.files)


def read_part(path: Path, sha256: str, name: str) -> bytes:
    """One file of the bundle ``sha256`` in ``path``, checked by the manifest; the other files are not checked.

    Raises:
        BrokenBundleError: naming the file that is missing, unreadable or not what its digest says.
    """
    _, manifest = _checked_manifest(path, sha256)
    if name not in manifest.files:
        raise BrokenBundleError(f"bundle {path}: {name} is not in the manifest")
    return _read_checked(path / name, manifest.files[name])


class BundleStore:
    """Bundles on this machine, each in a folder named by its sha256, and a pointer to the current one.

    A sidecar installs and repoints; any number of processes may read at the same time. Shelves of one folder share its
    bundles, and each ``pointer`` points for itself.
    """

    def __init__(self, bundles_dir: Path, pointer: str = "current") -> None:
        self._dir = bundles_dir
        self._pointer = bundles_dir / pointer

    def current(self) -> RegisteredBundle | None:
        """The current bundle, ``None`` when there is none yet; its files are not checked here."""
        try:
            body = self._pointer.read_bytes()
        except FileNotFoundError:
            return None
        pointer = decode_file(body, _Pointer, at=self._pointer)
        return RegisteredBundle(ModelRef(pointer.name, pointer.version), pointer.bundle_sha256)

    def path_of(self, sha256: str) -> Path:
        """The folder for a bundle; raises :class:`BrokenBundleError` when ``sha256`` is no digest."""
        if not _SHA256.fullmatch(sha256):
            raise BrokenBundleError(f"{self._dir}: a bundle's name must be a sha256 in hexadecimal")
        return self._dir / sha256

    def install(self, registered: RegisteredBundle, registry: ModelRegistry) -> Bundle:
        """Fetch a bundle unless it is here already, check it, and rename it into place; durable on return.

        Raises:
            TryAgainLaterError: the registry is away.
            BrokenBundleError: what was fetched is not what was registered; nothing is left behind.
        """
        place = self.path_of(registered.bundle_sha256)
        try:
            return open_bundle(place, registered.bundle_sha256)
        except BrokenBundleError:
            # Not here yet, or damaged since: a fresh copy takes the place.
            make_folder(self._dir)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self._dir) as workspace:
            fetched = Path(workspace) / "bundle"
            registry.fetch(registered, fetched)
            open_bundle(fetched, registered.bundle_sha256)
            _take_place(fetched, place)
        return open_bundle(place, registered.bundle_sha256)

    def repoint(self, registered: RegisteredBundle) -> None:
        """Make ``registered`` the current one; a reader sees the old pointer or the new one; durable on return."""
        pointer = _Pointer(registered.bundle_sha256, registered.model.name, registered.model.version)
        replace_file(self._pointer, msgspec.json.encode(pointer), durable=True)

    def clear(self) -> None:
        """Remove the pointer."""
        self._pointer.unlink(missing_ok=True)


class _Pointer(Struct, frozen=True):
    bundle_sha256: str
    name: str
    version: str


def _take_place(fetched: Path, place: Path) -> None:
    try:
        put_in_place(fetched, place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        # A damaged copy stands there, or another process was faster; either way ours is checked.
        place.rename(fetched.with_name("replaced"))
        put_in_place(fetched, place)


def _case_as_yaml(case: Case) -> bytes:
    content = case.model_dump(mode="json")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode()


def _load_case(path: Path, manifest: _Manifest) -> Case:
    try:
        case = load_case(path / CASE_FILE)
    except SettingsError as error:
        raise BrokenBundleError(str(error)) from None
    if case.sha256 != manifest.case_sha256:
        raise _wrong_digest(path / CASE_FILE, case.sha256, manifest.case_sha256)
    return case


def _checked_manifest(path: Path, expected_sha256: str | None) -> tuple[str, _Manifest]:
    body = _read(path / MANIFEST)
    sha256 = _digest(body)
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise _wrong_digest(path / MANIFEST, sha256, expected_sha256)
    return sha256, decode_file(body, _Manifest, at=path / MANIFEST, known_format=FORMAT)


def _check_file_name(path: Path, name: str) -> None:
    fault = f"{name!r} can't be the name of a file in it" if name == MANIFEST else fault_in_name(name)
    if fault:
        raise BrokenBundleError(f"bundle {path}: {fault}")


def _read_checked(path: Path, digest: str) -> bytes:
    content = _read(path)
    if _digest(content) != digest:
        raise _wrong_digest(path, _digest(content), digest)
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenBundleError(f"{path}: {error.strerror or 'unreadable'}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _wrong_digest(path: Path, found: str, expected: str) -> BrokenBundleError:
    return BrokenBundleError(f"{path}: sha256 is {found}, expected {shortened(expected)}")
