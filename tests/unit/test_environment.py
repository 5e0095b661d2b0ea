"""What the environment must hold besides what is imported by name."""

from __future__ import annotations


def test_kafka_computes_checksums_in_c() -> None:
    """Without crc32c kafka-python falls back to Python, says nothing, and publishes at a third of the speed."""
    from kafka.record import util

    assert util.crc32c_c is not None
    assert util.calc_crc32c(memoryview(b"123456789")) == 0xE3069283
