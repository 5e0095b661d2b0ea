#!/bin/sh
# Without an address in the file, alerts are shown on Alertmanager's page and sent nowhere.
set -eu

config=/etc/alertmanager/alertmanager.yml
url=$(cat /run/streamgauge-secrets/alert_webhook_url)
if [ -n "$url" ]; then
  (umask 077 && sed -e "s|http://webhook.invalid/|$url|" -e 's|receiver: page|receiver: webhook|' "$config" >/tmp/alertmanager.yml)
  config=/tmp/alertmanager.yml
fi
exec "${ALERTMANAGER:-alertmanager}" --config.file="$config" "$@"
