"""The one place that chooses and wires adapters."""

from __future__ import annotations

from stream_generator.http_transport import KeepAliveHttp
from stream_generator.labels import Labeller, LabelQueue
from stream_generator.open_loop import OpenLoop, Worker
from stream_generator.options import Delivery
from stream_generator.pacing import Clock
from stream_generator.sending import Patience, Sender
from stream_generator.settings import GeneratorSettings
from stream_generator.tally import Tally


def build_open_loop(settings: GeneratorSettings, delivery: Delivery, clock: Clock, tally: Tally) -> OpenLoop:
    """A loop with a connection for each record in flight and one for labels."""

    def sender() -> Sender:
        api_key = settings.api_key.get_secret_value() if settings.api_key else None
        transport = KeepAliveHttp(delivery.url or settings.prediction_url, settings.request_timeout_s, api_key)
        return Sender(transport, clock, Patience(total_s=settings.give_up_after_s))

    labeller = Labeller(LabelQueue(delivery.label_delay), sender(), clock, tally)
    workers = [Worker(sender(), clock, tally, labeller) for _ in range(delivery.concurrency)]
    return OpenLoop(workers, labeller, clock)
