"""Producers of others: real clients that compress, open transactions and abort some of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring_world import made_record
from real_parts import JAVA
from real_parts_cache import PARTS_DIR, go_program, java_classpath

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COMMITTED, ABORTED = "commit", "abort"
#: Every this many-th message is one that nobody can take.
INVALID_EVERY = 50
TRANSACTION_MESSAGES = 40


@dataclass(frozen=True)
class Part:
    """Messages that one producer sends in a row; ``transaction`` says how theirs ends, if they are in one."""

    codec: str
    transaction: str | None
    messages: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Plan:
    """What a client is to send, and what is to become of it."""

    parts: Sequence[Part]
    valid: dict[str, dict[str, Any]]
    invalid: set[bytes]


def made_plan(name: str, count: int, seed: int) -> Plan:
    """A fifth of the messages with each codec: half outside transactions, half in small ones, every third aborted."""
    rng = random.Random(seed)
    valid: dict[str, dict[str, Any]] = {}
    invalid: set[bytes] = set()
    parts: list[Part] = []
    for codec in CODECS:
        left = count // len(CODECS)
        for size, transaction in _sizes(left):
            messages = []
            for _ in range(size):
                number = len(valid) + len(invalid)
                key = f"{name}-{codec}-{transaction}-{number}-{rng.getrandbits(40):x}"
                record = made_record(rng)
                is_valid = rng.randrange(INVALID_EVERY) > 0
                messages.append((key.encode(), json.dumps(record).encode() if is_valid else b'{"price": "much"}'))
                if transaction != ABORTED and is_valid:
                    valid[key] = record
                elif transaction != ABORTED:
                    invalid.add(key.encode())
            parts.append(Part(codec, transaction, messages))
    return Plan(parts, valid, invalid)


def _sizes(count: int) -> Iterator[tuple[int, str | None]]:
    """Sizes of parts, with the ends of their transactions."""
    yield count - count // 2, None
    left, number = count // 2, 0
    while left > 0:
        size = min(left, TRANSACTION_MESSAGES)
        yield size, ABORTED if number % 3 == 1 else COMMITTED
        left, number = left - size, number + 1


Send = Callable[[Plan, str, str, Path], None]


def send_by_librdkafka(plan: Plan, bootstrap: str, topic: str, _: Path) -> None:
    """confluent-kafka, which is librdkafka."""
    from confluent_kafka import Producer

    for codec in CODECS:
        options = {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20}
        plain = Producer(options)
        transactional = Producer({**options, "transactional.id": f"{topic}-librdkafka-{codec}"})
        transactional.init_transactions(30)
        for part in parts_of(plan, codec):
            producer = transactional if part.transaction else plain
            if part.transaction:
                producer.begin_transaction()
            for key, value in part.messages:
                producer.produce(topic, value, key)
                producer.poll(0)
            assert producer.flush(60) == 0
            if part.transaction == COMMITTED:
                producer.commit_transaction(30)
            elif part.transaction == ABORTED:
                producer.abort_transaction(30)


def send_by_aiokafka(plan: Plan, bootstrap: str, topic: str, _: Path) -> None:
    # In a thread: a browser that another test drives keeps a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _send_by_aiokafka(plan, bootstrap, topic)).result()


async def _send_by_aiokafka(plan: Plan, bootstrap: str, topic: str) -> None:
    from aiokafka import AIOKafkaProducer

    for codec in CODECS:
        options = {"bootstrap_servers": bootstrap, "compression_type": None if codec == "none" else codec}
        plain = AIOKafkaProducer(**options, linger_ms=20)
        transactional = AIOKafkaProducer(**options, linger_ms=20, transactional_id=f"{topic}-aiokafka-{codec}")
        async with plain, transactional:
            for part in parts_of(plan, codec):
                producer = transactional if part.transaction else plain
                if part.transaction:
                    await producer.begin_transaction()
                sent = [await producer.send(topic, value, key) for key, value in part.messages]
                await asyncio.gather(*sent)
                if part.transaction == COMMITTED:
                    await producer.commit_transaction()
                elif part.transaction == ABORTED:
                    await producer.abort_transaction()


def send_by_java(plan: Plan, bootstrap: str, topic: str, _: Path) -> None:
    source = str(PARTS_DIR / "ForeignProducer.java")
    _run_with(plan, [*JAVA, "-cp", java_classpath(), source, bootstrap, topic])


def send_by_franz_go(plan: Plan, bootstrap: str, topic: str, folder: Path) -> None:
    _run_with(plan, [str(go_program("franz_go")), bootstrap, topic])


def _run_with(plan: Plan, command: Sequence[str]) -> None:
    """Another language's client gets the plan on its standard input, a line for each message."""
    lines = "".join(line + "\n" for part in plan.parts for line in _lines(part))
    ended = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


def _lines(part: Part) -> Iterator[str]:
    yield f"part {part.codec} {part.transaction or 'plain'}"
    for key, value in part.messages:
        yield f"message {base64.b64encode(key).decode()} {base64.b64encode(value).decode()}"


def parts_of(plan: Plan, codec: str) -> list[Part]:
    return [part for part in plan.parts if part.codec == codec]


CLIENTS: dict[str, Send] = {
    "librdkafka": send_by_librdkafka,
    "aiokafka": send_by_aiokafka,
    "java": send_by_java,
    "franz-go": send_by_franz_go,
}


def seed_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
