"""The ports shared by services. Each docstring is the specification that its contract suite checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from event_backbone.events.schema import Envelope, Label, ModelRef, Prediction


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that a sink will never take, and the reason, from a closed set."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The outcome of a batch that a sink took.

    ``conflicts``: predictions met for the first time whose ``record_id`` is known with another ``content_hash``; the
    first one stands and the other is kept beside it. ``held``: by ``record_id``, the stored prediction where an
    earlier one stands instead of the one in the batch, whether its content is the same or not. ``erased``: those ids in
    the batch that were erased for good, so that nothing of them is kept and nothing may be passed on.
    """

    refused: Sequence[Refusal] = ()
    conflicts: int = 0
    held: Mapping[str, Prediction] = field(default_factory=dict)
    erased: frozenset[str] = frozenset()


class Sink(Protocol):
    """The port that a relay delivers a journal's events to, in the journal's order.

    Durability: when :meth:`deliver` returns, every envelope that is not among the refusals is kept by the other side
    and survives the death of any process of ours.
    Idempotency: delivering an envelope again, alone or in another batch, changes nothing.
    Ordering: a caller delivers rising ``seq``; after a failure it delivers the same batch again from its start.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` when the other side is away, slow or full: nothing,
    some or all may have been kept. A row refused for good is returned, never raised, and its neighbours are kept.
    Blocking: at most ``timeout_s`` of the adapter. Thread-safety: one caller at a time.
    """

    name: str

    def deliver(self, batch: Sequence[Envelope]) -> Delivered: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction and its cursor in a log, which only that log understands."""

    cursor: str
    prediction: Prediction


class PredictionLog(Protocol):
    """Read access to kept predictions and labels: a journal's file, a database.

    :meth:`predictions` gives a page in the order of ``(predicted_at, record_id)`` or, for a journal, of its ``seq``:
    those with ``since <= predicted_at < until`` (RFC 3339 in UTC as
    :func:`~event_backbone.events.schema.format_utc` writes it; ``None`` is open), after ``after``, the cursor of the
    last one already seen. Reading page after page gives each prediction that was there at the first page once,
    whatever is added meanwhile.
    :meth:`labels` gives the latest label (by ``labelled_at``) of those ids that have one.
    :meth:`count` may be an estimate, for progress bars.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` when it is away,
    :class:`~event_backbone.errors.RejectedError` for an ``after`` that this log never gave. One caller at a time.
    """

    def prediction(self, record_id: str) -> Prediction | None: ...

    def predictions(
        self, *, since: str | None = None, until: str | None = None, after: str | None = None, limit: int
    ) -> Sequence[LoggedPrediction]: ...

    def count(self, *, since: str | None = None, until: str | None = None) -> int: ...

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]: ...

    def close(self) -> None: ...


# One of each is made for every record: a Struct takes a fifth of the time of a frozen dataclass.
class Message(Struct, frozen=True):
    """A message to publish."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Partition(Struct, frozen=True):
    topic: str
    number: int


class Loss(Struct, frozen=True):
    """Why there is nothing to read at a place of a topic.

    ``reason`` is ``corrupt``, the message can't be decoded; ``oversized_batch``, it, and perhaps others before it, came
    in a compressed batch that is too large; or ``gone``, the broker dropped it, and perhaps others before it, before
    they were read. ``message`` is a sentence's end, for people.
    """

    reason: str
    message: str


class Received(Struct, frozen=True):
    """A message read from a topic; ``timestamp_ms`` is the broker's or the producer's time since 1970, below 0 before.

    With a ``loss`` it stands for what could not be read.
    """

    partition: Partition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    loss: Loss | None = None


class Lag(Struct, frozen=True):
    """How far a reader is behind the end of a partition: messages, and the age of the oldest unread one.

    The end is that of what may be read: what a transaction wrote counts once it is committed, and so does what stands
    behind it. ``next_offset`` is where the reader goes on, ``None`` as long as that is not known.
    """

    records: int
    seconds: float
    next_offset: int | None = None


class MessageProducer(Protocol):
    """The port for publishing messages.

    Durability: when :meth:`publish` returns, every message that is not among the refused is acknowledged by all in-sync
    replicas. Ordering: messages of one key keep their order. Nothing is held back between two calls, so what is in
    flight is bounded by what the caller passes.
    Returns: ``(index, reason)`` of messages that can never be published, such as ``too_large``.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError`: nothing, some or all may have been published.
    Blocking: at most ``timeout_s`` of the adapter. Thread-safety: one caller at a time.
    """

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]: ...

    def close(self) -> None: ...


class RebalanceListener(Protocol):
    """Callbacks of rebalances, from within :meth:`MessageConsumer.poll` and never beside other calls of its
    caller, though perhaps from another thread.

    :meth:`revoked` may still commit; after :meth:`lost` somebody else has them already, and what is in flight from them
    must not be committed.
    """

    def assigned(self, partitions: Collection[Partition]) -> None: ...

    def revoked(self, partitions: Collection[Partition]) -> None: ...

    def lost(self, partitions: Collection[Partition]) -> None: ...


class MessageConsumer(Protocol):
    """The port for reading topics, each partition in the order of its offsets, from the committed one on.

    Nothing is committed but by :meth:`commit`, which takes the offset of the *next* message by partition and is durable
    on return. :meth:`poll` returns at once when there is something, else after ``timeout_s``; while
    :meth:`pause` holds, it returns nothing and keeps the membership alive, so that a caller whose sinks are away calls
    it and goes on waiting.
    What a transaction aborted is never given, what one has not committed yet only then. A message that can't be
    decoded, or that is no longer there, comes with its ``loss``: nothing is passed in silence.
    Errors: :class:`~event_backbone.errors.AwayError` when no broker answers, another
    :class:`~event_backbone.errors.TryAgainLaterError` when one does and reading fails all the same; the next call tries
    again. :class:`~event_backbone.errors.StopError` when no next call could do better. One caller at a time.
    """

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]: ...

    def commit(self, offsets: Mapping[Partition, int]) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def lags(self) -> Mapping[Partition, Lag]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RegisteredBundle:
    """What an alias points to: a model version and the digest of its bundle's manifest."""

    model: ModelRef
    bundle_sha256: str


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A model version and its tags; ``registered_at`` is RFC 3339 in UTC."""

    model: ModelRef
    registered_at: str
    aliases: frozenset[str]
    tags: Mapping[str, str]


class ModelRegistry(Protocol):
    """The port of the model registry: registered bundles, and aliases for the versions in use.

    :meth:`register` is durable on return; registering the same bundle again makes another version.
    :meth:`resolve` returns ``None`` when nothing has the alias yet, :meth:`resolve_version` when there is no such
    version, whatever its text is.
    :meth:`fetch` leaves the bundle's files in ``destination``, which must not exist; they are not checked yet.
    :meth:`set_alias` takes the alias from the version that had it, :meth:`drop_alias` from whichever has it, and
    :meth:`set_tags` keeps the tags it does not name; all three are durable on return, and doing them again changes
    nothing. A tag's name has letters, digits and ``._-`` only, its text up to 5,000 characters.
    :meth:`versions` gives every version of a name, the oldest first; none for a name that nobody registered.
    :meth:`set_alias` and :meth:`set_tags` raise :class:`LookupError` when there is no such version.
    All raise :class:`~event_backbone.errors.TryAgainLaterError` when the registry is away. One caller at a time.
    """

    def register(self, bundle_dir: Path, bundle_sha256: str, *, name: str, alias: str, run_id: str) -> ModelRef: ...

    def resolve(self, name: str, alias: str) -> RegisteredBundle | None: ...

    def resolve_version(self, name: str, version: str) -> RegisteredBundle | None: ...

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None: ...

    def set_alias(self, model: ModelRef, alias: str) -> None: ...

    def drop_alias(self, name: str, alias: str) -> None: ...

    def set_tags(self, model: ModelRef, tags: Mapping[str, str]) -> None: ...

    def versions(self, name: str) -> Sequence[RegisteredVersion]: ...
