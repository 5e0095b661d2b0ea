#!/usr/bin/env bash
# kafka-python 3.0.12: a consumer's attempt to join its group goes on in the background when a poll ends before the
# broker answers. If the answer comes while no poll waits for it, the next poll throws it away and asks to join again,
# although the attempt succeeded. Polls that are shorter than the broker's answer therefore never get a partition, and
# members of one group that do other work between their polls make each other join again and again.
# A consumer of confluent-kafka, polled in the same way at the same broker (librdkafka's own mock), gets its partitions.
# Seen on 2026-12-01, Python 3.11:
#   kafka-python 3.0.12, confluent-kafka 2.15.0
#   kafka-python, polls of 500 ms: 4 partitions
#   kafka-python, 50 polls of 1 ms with 100 ms between them: 0 partitions
#   confluent-kafka, the same polls: 4 partitions
# Exits 1 if this changes. Needs the package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kafka-python==3.0.12 confluent-kafka==2.15.0
cat >"$folder/probe.py" <<'PY'
import logging
import sys
import time

import confluent_kafka
import kafka

logging.disable(logging.CRITICAL)
broker = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
address = str(next(iter(broker.list_topics(timeout=10).brokers.values()))).split("/")[0]
version = (2, 0)  # which the mock speaks

broker.produce("numbers", b"1")
broker.flush(10)

def with_kafka_python(group, timeout_ms, between_s, polls):
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, api_version=version, group_id=group)
    consumer.subscribe(["numbers"])
    for _ in range(polls):
        consumer.poll(timeout_ms=timeout_ms)
        if consumer.assignment():
            break
        time.sleep(between_s)
    found = len(consumer.assignment())
    consumer.close(timeout_ms=1000)
    return found

def with_confluent_kafka(group, timeout_s, between_s, polls):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": group})
    consumer.subscribe(["numbers"])
    for _ in range(polls):
        consumer.poll(timeout_s)
        if consumer.assignment():
            break
        time.sleep(between_s)
    found = len(consumer.assignment())
    consumer.close()
    return found

print(f"kafka-python {kafka.__version__}, confluent-kafka {confluent_kafka.__version__}")
patient = with_kafka_python("patient", 500, 0.0, 20)
print(f"kafka-python, polls of 500 ms: {patient} partitions")
short = with_kafka_python("short", 1, 0.1, 50)
print(f"kafka-python, 50 polls of 1 ms with 100 ms between them: {short} partitions")
other = with_confluent_kafka("other", 0.001, 0.1, 50)
print(f"confluent-kafka, the same polls: {other} partitions")
sys.exit(0 if (patient, short, other) == (4, 0, 4) else 1)
PY
timeout 120 "$folder/venv/bin/python" "$folder/probe.py"
