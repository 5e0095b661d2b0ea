"""Options and error translation shared by all uses of Kafka's client."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from event_backbone.errors import AwayError, TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess

#: Told to the library, or it would have to ask a broker before it can be made; it still finds out about older ones.
API_VERSION = (4, 1)


@contextlib.contextmanager
def translated(access: KafkaAccess, *, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """The library's errors as ours, ``but`` as it is. Broker and network errors may go away: try again later."""
    from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError

    try:
        yield
    except but:
        raise
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, OSError) as error:
        raise AwayError(f"{access.shown}: {type(error).__name__}") from None
    except KafkaError as error:
        # Only the error's name is told: its text may hold what was sent.
        raise TryAgainLaterError(f"{access.shown}: {type(error).__name__}") from None


def quiet() -> None:
    """The client logs several lines a second while no broker answers; what matters in them comes as our own errors."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
