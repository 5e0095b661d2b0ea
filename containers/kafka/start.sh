#!/bin/bash
# Formats the storage at the first start, with the user whose password stands in a file, and becomes the broker.
set -euo pipefail

config=/etc/streamgauge/server.properties
java=(java -Xms256m -Xmx512m -XX:+UseG1GC -XX:MaxGCPauseMillis=50 -XX:+ExitOnOutOfMemoryError -cp '/opt/kafka/libs/*'
      -Dlog4j2.configurationFile=/etc/streamgauge/log4j2.yaml)

if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  password=$(</run/streamgauge-secrets/kafka_password)
  cluster_id=$("${java[@]}" kafka.tools.StorageTool random-uuid)
  # As a file of arguments: the list of them is there for every process to read.
  "${java[@]}" kafka.tools.StorageTool format --config "$config" --cluster-id "$cluster_id" \
    "@"<(printf '%s\n' --add-scram "SCRAM-SHA-512=[name=streamgauge,password=$password]")
fi
exec "${java[@]}" kafka.Kafka "$config"
