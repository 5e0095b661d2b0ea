#!/usr/bin/env bash
# granian 2.8.7: wsgi.input.read(-1) raises OverflowError. Python's file objects take any negative size, like none at
# all, for "everything", and code that hands a size on relies on it: io.RawIOBase.read and io.BufferedReader have -1 as
# their default. read() without an argument is fine.
# A middleware that wraps the stream with "def read(self, size=-1)" turns every request with a body into a 500.
# Seen on 2026-12-01, Python 3.11:
#   granian 2.8.7
#   read(): 5 bytes
#   read(-1): OverflowError
#   io.BytesIO, read(-1): 5 bytes
# Exits 1 if this changes. Needs the package index; listens on loopback only.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check granian==2.8.7
cat >"$folder/app.py" <<'PY'
def app(environ, start_response):
    size = [-1] if environ["PATH_INFO"] == "/minus" else []
    try:
        said = f"{len(environ['wsgi.input'].read(*size))} bytes"
    except Exception as error:
        said = type(error).__name__
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
PY
cat >"$folder/probe.py" <<'PY'
import http.client
import io
import sys
import time
from importlib.metadata import version

from app import app


def post(port, path):
    for _ in range(100):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", path, b"hello")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


port = int(sys.argv[1])
environ = {"PATH_INFO": "/minus", "wsgi.input": io.BytesIO(b"hello")}
plain, minus, of_io = post(port, "/"), post(port, "/minus"), app(environ, lambda *_: None)[0].decode()
print("granian", version("granian"))
print("read():", plain)
print("read(-1):", minus)
print("io.BytesIO, read(-1):", of_io)
sys.exit(0 if (plain, minus, of_io) == ("5 bytes", "OverflowError", "5 bytes") else 1)
PY
cd "$folder"
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/granian" --interface wsgi --host 127.0.0.1 --port "$port" --log-level error app:app &
server=$!
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" "$port"
