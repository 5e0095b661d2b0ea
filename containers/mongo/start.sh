#!/bin/bash
# mongod takes a keyfile only from a file that nobody else may read; the image's own entry point makes the root user.
set -euo pipefail

install -m 0400 /run/streamgauge-secrets/mongo_keyfile /tmp/keyfile
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/keyfile --bind_ip_all
