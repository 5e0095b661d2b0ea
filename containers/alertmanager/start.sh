#!/bin/sh
# Without an address in the file, alerts are shown on Alertmanager's page and sent nowhere.
set -eu

config="${CONFIG:-/etc/alertmanager/alertmanager.yml}"
url=$(cat "${SECRETS_DIR:-/run/streamgauge-secrets}/alert_webhook_url")
if [ -n "$url" ]; then
  given="${TMPDIR:-/tmp}/alertmanager.yml"
  escaped=$(printf '%s' "$url" | sed 's/[&|\\]/\\&/g')
  umask 077
  sed -e "s|http://webhook.invalid/|$escaped|" -e 's|receiver: page|receiver: webhook|' "$config" >"$given"
  config="$given"
fi
exec "${ALERTMANAGER:-alertmanager}" --config.file="$config" "$@"
