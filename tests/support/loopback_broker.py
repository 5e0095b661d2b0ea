"""A broker of one topic on loopback: enough of Kafka's protocol for a client to connect, look up, read and publish.

It speaks with the client library's own encoding, keeps nothing, and answers a fetch with the bytes that it is given.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any

from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse
from kafka.protocol.producer import InitProducerIdRequest, InitProducerIdResponse, ProduceRequest

TOPIC = "world.records"
PARTITIONS = 3
_UNKNOWN_TOPIC = 3
#: What it speaks, and up to which version.
_REQUESTS = {
    kind.API_KEY: (kind, version)
    for kind, version in (
        (ApiVersionsRequest, 2),
        (MetadataRequest, 8),
        (FetchRequest, 11),
        (InitProducerIdRequest, 1),
        (ProduceRequest, 8),
    )
}


class LoopbackBroker:
    """``log`` are the batches of partition 0 by their first offsets; a ``fetch_error`` is told instead of them.

    What is published is never acknowledged. ``requests`` are all that came, but the questions for its versions.
    """

    def __init__(self) -> None:
        self.log: dict[int, bytes] = {}
        self.fetch_error = 0
        self.requests: list[Any] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Connections break, and no new one is taken."""
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):  # the other side was first
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while len(head := stream.read(4)) == 4:
                    body = stream.read(struct.unpack(">i", head)[0])
                    if (answer := self._answer(body)) is not None:
                        connection.sendall(answer)
            except OSError:
                return

    def _answer(self, body: bytes) -> bytes | None:
        key, version = struct.unpack(">hh", body[:4])
        kind, newest = _REQUESTS[key]
        if version > newest:  # of the question which versions it speaks: say so in the oldest one
            return self._framed(ApiVersionsResponse(error_code=35, api_keys=_versions(0)), 0, body)
        request = kind.decode(body, version=version, header=True)
        if kind is not ApiVersionsRequest:
            self.requests.append(request)
        response = self._response(request, version)
        return None if response is None else self._framed(response, version, body)

    def _framed(self, response: Any, version: int, body: bytes) -> bytes:
        response.API_VERSION = version
        response.with_header(correlation_id=struct.unpack(">i", body[4:8])[0])
        return bytes(response.encode(header=True, framed=True))

    def _response(self, request: Any, version: int) -> Any:
        match request:
            case ApiVersionsRequest():
                return ApiVersionsResponse(error_code=0, api_keys=_versions(version), throttle_time_ms=0)
            case MetadataRequest():
                return self._metadata([one.name for one in request.topics or ()], version)
            case FetchRequest():
                return self._fetched(request, version)
            case InitProducerIdRequest():
                return InitProducerIdResponse(throttle_time_ms=0, error_code=0, producer_id=7, producer_epoch=0)
        return None

    def _metadata(self, topics: list[str], version: int) -> Any:
        kind = MetadataResponse[version]
        broker = kind.MetadataResponseBroker(1, "127.0.0.1", self.port, None, version=version)
        return MetadataResponse(
            throttle_time_ms=0,
            brokers=[broker],
            cluster_id="loopback",
            controller_id=1,
            topics=[self._topic(kind.MetadataResponseTopic, name, version) for name in topics],
        )

    def _topic(self, kind: Any, name: str, version: int) -> Any:
        error = 0 if name == TOPIC else _UNKNOWN_TOPIC
        partitions = [
            kind.MetadataResponsePartition(
                error_code=0,
                partition_index=number,
                leader_id=1,
                leader_epoch=0,
                replica_nodes=[1],
                isr_nodes=[1],
                offline_replicas=[],
                version=version,
            )
            for number in range(PARTITIONS if error == 0 else 0)
        ]
        return kind(error_code=error, name=name, is_internal=False, partitions=partitions, version=version)

    def _fetched(self, request: Any, version: int) -> Any:
        kind = FetchResponse[version].FetchableTopicResponse
        return FetchResponse(
            throttle_time_ms=0,
            error_code=0,
            session_id=0,
            responses=[
                kind(
                    topic=topic.topic,
                    partitions=[self._partition(kind.PartitionData, one, version) for one in topic.partitions],
                    version=version,
                )
                for topic in request.topics
            ],
        )

    def _partition(self, kind: Any, wanted: Any, version: int) -> Any:
        return kind(
            partition_index=wanted.partition,
            error_code=self.fetch_error,
            high_watermark=1000,
            last_stable_offset=1000,
            log_start_offset=0,
            aborted_transactions=[],
            preferred_read_replica=-1,
            records=self._records(wanted) if wanted.partition == 0 and not self.fetch_error else b"",
            version=version,
        )

    def _records(self, wanted: Any) -> bytes:
        """From the batch on that holds the offset, or may."""
        begin = max((first for first in self.log if first <= wanted.fetch_offset), default=0)
        return b"".join(batch for first, batch in sorted(self.log.items()) if first >= begin)


def _versions(version: int) -> list[Any]:
    kind = ApiVersionsResponse[version].ApiVersion
    return [
        kind(api_key=key, min_version=0, max_version=newest, version=version) for key, (_, newest) in _REQUESTS.items()
    ]
