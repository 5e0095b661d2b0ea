"""The ports that more than one service meets. Each docstring is the specification its contract suite checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from event_backbone.events import Envelope, ModelRef


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that a sink will never take, and why (a closed set of words)."""

    seq: int
    reason: str


class Sink(Protocol):
    """Where a relay delivers a journal's events, in the journal's order.

    Durability: when :meth:`deliver` returns, every envelope that is not among the refusals is kept by the other side
    and survives the death of any process of ours.
    Idempotency: delivering an envelope again, alone or in another batch, changes nothing.
    Ordering: a caller delivers rising ``seq``; after a failure it delivers the same batch again from its start.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` when the other side is away, slow or full: nothing,
    some or all may have been kept. A row refused for good is returned, never raised, and its neighbours are kept.
    Blocking: at most ``timeout_s`` of the adapter. Thread-safety: one caller at a time.
    """

    name: str

    def deliver(self, batch: Sequence[Envelope]) -> Sequence[Refusal]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RegisteredBundle:
    """What an alias points to: a model version and the digest of its bundle's manifest."""

    model: ModelRef
    bundle_sha256: str


class ModelRegistry(Protocol):
    """Where bundles are registered and an alias says which one is in use.

    :meth:`register` is durable on return; registering the same bundle again makes another version.
    :meth:`resolve` returns ``None`` when nothing has the alias yet.
    :meth:`fetch` leaves the bundle's files in ``destination``, which must not exist; they are not checked yet.
    All raise :class:`~event_backbone.errors.TryAgainLaterError` when the registry is away. One caller at a time.
    """

    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef: ...

    def resolve(self, name: str, alias: str) -> RegisteredBundle | None: ...

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None: ...
