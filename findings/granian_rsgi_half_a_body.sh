#!/usr/bin/env bash
# granian 2.8.7, RSGI: a body whose client goes away in the middle ends, read in parts, like one that is whole.
# `async for part in protocol` stops without an error, with a length that was announced and with chunks; nothing tells
# half a body from a whole one but a count of the bytes, and for chunks there is no length to count against.
# `await protocol()` raises RSGIProtocolClosed for the same client, so an application that goes over from one to the
# other, because a body may be large, loses that. ASGI's answer to the same is the message http.disconnect.
# Seen on 2026-12-01, Python 3.11:
#   granian 2.8.7
#   announced, whole: RSGIProtocolClosed
#   announced, parts: 3 bytes, no error
#   chunked, whole: RSGIProtocolClosed
#   chunked, parts: 3 bytes, no error
# Exits 1 if this changes. Needs the package index; listens on loopback only.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check granian==2.8.7
cat >"$folder/app.py" <<'PY'
from pathlib import Path


async def app(scope, protocol):
    how = scope.path.strip("/")
    if how != "ready":
        try:
            body = await protocol() if how.endswith("whole") else b"".join([part async for part in protocol])
            said = f"{len(body)} bytes, no error"
        except Exception as error:
            said = type(error).__name__
        Path(how).write_text(said)
    protocol.response_bytes(200, [], b"")
PY
cat >"$folder/probe.py" <<'PY'
import socket
import sys
import time
from importlib.metadata import version
from pathlib import Path

HEADS = {"announced": b"Content-Length: 30\r\n\r\nabc", "chunked": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}
EXPECTED = {"whole": "RSGIProtocolClosed", "parts": "3 bytes, no error"}


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def half_a_body(port, name, head):
    with connect(port) as client:
        client.sendall(f"POST /{name} HTTP/1.1\r\nHost: localhost\r\n".encode() + head)
        time.sleep(0.5)
    for _ in range(100):
        if Path(name).exists() and (said := Path(name).read_text()):
            return said
        time.sleep(0.1)
    return "nothing"


port, same = int(sys.argv[1]), True
print("granian", version("granian"))
for kind, head in HEADS.items():
    for how, expected in EXPECTED.items():
        said = half_a_body(port, f"{kind}-{how}", head)
        print(f"{kind}, {how}: {said}")
        same &= said == expected
sys.exit(0 if same else 1)
PY
cd "$folder"
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/granian" --interface rsgi --host 127.0.0.1 --port "$port" --log-level critical app:app 2>/dev/null &
server=$!
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" "$port"
