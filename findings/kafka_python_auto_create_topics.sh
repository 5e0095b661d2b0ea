#!/usr/bin/env bash
# kafka-python 3.0.12: KafkaConsumer and KafkaProducer take allow_auto_create_topics=False (documented, and shown in
# their config) and hand it to the network client, but the part that asks brokers for metadata keeps its own default:
# its request says "make topics that are missing". A broker with auto.create.topics.enable then makes every topic
# that somebody misspells, with one partition.
# Seen on 2026-11-30, Python 3.11:
#   kafka-python 3.0.12
#   KafkaConsumer: option False, metadata request allows making topics: True
#   KafkaProducer: option False, metadata request allows making topics: True
# Exits 1 if this changes. Needs the package index, no broker.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kafka-python==3.0.12
cat >"$folder/probe.py" <<'PY'
import logging
import sys

import kafka
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

logging.disable(logging.CRITICAL)
made = []


def network(**configs):
    """As the library makes it itself, through its documented option kafka_client; kept, so that it can be asked."""
    made.append(KafkaNetClient(net=NetworkSelector(**configs), **configs))
    return made[-1]


nobody = {"bootstrap_servers": "127.0.0.1:9", "api_version": (2, 8), "kafka_client": network}
print("kafka-python", kafka.__version__)
as_seen = True
for kind in (kafka.KafkaConsumer, kafka.KafkaProducer):
    client = kind(allow_auto_create_topics=False, **nobody)
    option = client.config["allow_auto_create_topics"]
    asked = made[-1].cluster.metadata_request().allow_auto_topic_creation
    print(f"{kind.__name__}: option {option}, metadata request allows making topics: {asked}")
    as_seen = as_seen and option is False and asked is True
    client.close(timeout_ms=0) if kind is kafka.KafkaConsumer else client.close(timeout=0)
sys.exit(0 if as_seen else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
