"""The generator's commands as processes, against a server that answers as the prediction service does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[2] / "cases"


@pytest.fixture(autouse=True)
def _state_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CASE": "census", "CASES_DIR": CASES, "STATE_DIR": tmp_path / "var"}.items():
        monkeypatch.setenv(name, str(value))


class PredictionStub(ThreadingHTTPServer):
    """Keeps what it answered with 200 and 202; ``trouble`` holds what happens to the first requests instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.records: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.trouble: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ids(self) -> list[str]:
        return [record["record_id"] for record in self.records]

    def answer(self, path: str, content: Any) -> tuple[int, dict[str, Any]]:
        if path == "/labels":
            self.labels += content
            return 202, {"accepted": len(content)}
        self.records.append(content)
        return 200, {"record_id": content["record_id"]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PredictionStub

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {}
        status = self.server.trouble.pop(0) if self.server.trouble else 0
        if status == CUT:
            self.close_connection = True
            return
        if not status:
            status, answer = self.server.answer(self.path, content)
        body = json.dumps(answer).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


#: The connection ends without an answer.
CUT = -1


@pytest.fixture
def stub() -> Iterator[PredictionStub]:
    server = PredictionStub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream.jsonl"
    path.write_text("".join(json.dumps({"record": {"x": number}, "label": "<=50K"}) + "\n" for number in range(30)))
    return path


def _start(command: str, *options: object) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "stream_generator", command, *map(str, options)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(command: str, *options: object) -> tuple[int, str, str]:
    process = _start(command, *options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _send(stub: PredictionStub, stream: Path, *options: object) -> tuple[int, str, str]:
    return _run("send", "--url", stub.url, "--records", stream, "--run-id", "t", "--label-delay", 0, *options)


def test_every_record_and_label_arrives_once_and_the_summary_says_so(
    stub: PredictionStub, stream: Path, tmp_path: Path
) -> None:
    summary_path = tmp_path / "kept" / "sent.json"
    code, out, _ = _send(stub, stream, "--count", 100, "--rate", "max", "--seed", 5, "--summary", summary_path)
    assert code == 0
    assert "100 sent, 100 answered, 0 failed" in out
    assert sorted(stub.ids()) == sorted(f"t-{index}" for index in range(100))
    assert sorted(label["record_id"] for label in stub.labels) == sorted(stub.ids())
    assert {label["label"] for label in stub.labels} == {"<=50K"}
    summary = json.loads(summary_path.read_bytes())
    assert (summary["run_id"], summary["seed"], summary["answered"], summary["labels_sent"]) == ("t", 5, 100, 100)
    assert summary["scenario"] == {"name": "none", "start_index": 0, "columns": []}
    assert summary["latency_ms"]["p99"] >= summary["latency_ms"]["p50"] > 0


def test_cut_connections_and_overload_are_tried_again_with_the_same_id(stub: PredictionStub, stream: Path) -> None:
    stub.trouble = [CUT, 503, CUT, 503, 503]
    code, _, _ = _send(stub, stream, "--count", 20, "--rate", "max", "--concurrency", 4)
    assert code == 0
    assert sorted(stub.ids()) == sorted(f"t-{index}" for index in range(20))


def test_refused_records_are_counted_and_the_command_fails(stub: PredictionStub, stream: Path) -> None:
    stub.trouble = [422, 422, 409]
    code, out, _ = _send(stub, stream, "--count", 10, "--rate", "max", "--concurrency", 1)
    assert code == 1
    assert "10 sent, 7 answered, 3 failed" in out
    assert "1 with 409" in out
    assert "2 with 422" in out
    assert len(stub.labels) == 7


@pytest.mark.alone
def test_the_rate_is_kept(stub: PredictionStub, stream: Path) -> None:
    started_at = time.monotonic()
    _send(stub, stream, "--count", 100, "--rate", 50)
    # 99 gaps of 20 ms; the rest is Python's start.
    assert 1.98 <= time.monotonic() - started_at < 15


def test_an_interrupt_ends_an_endless_run_with_its_summary(stub: PredictionStub, stream: Path) -> None:
    process = _start("send", "--url", stub.url, "--records", stream, "--run-id", "t", "--rate", 200)
    deadline = time.monotonic() + 30
    while len(stub.records) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"{len(stub.records)} sent, {len(stub.records)} answered, 0 failed" in out
    assert "interrupted" in out


@pytest.mark.parametrize("attempt", range(3))
def test_several_signals_at_once_end_it_as_one_does(attempt: int, stub: PredictionStub, stream: Path) -> None:
    process = _start("send", "--url", stub.url, "--records", stream, "--run-id", f"t{attempt}", "--rate", 200)
    deadline = time.monotonic() + 30
    while len(stub.records) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(10):
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert "interrupted" in out


def test_lines_are_replayed_in_order_with_their_ids_gaps_and_labels(stub: PredictionStub, tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"
    times = ["2026-01-31T08:00:00Z", "2026-01-31T08:00:10Z", "2026-01-31T08:00:20Z"]
    lines = [{"record": {"x": n}, "record_id": f"n{n}", "label": 1.5, "at": at} for n, at in enumerate(times)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    started_at = time.monotonic()
    code, _, _ = _run("replay", "--from", path, "--url", stub.url, "--speed", "20x", "--label-delay", 0)
    assert code == 0
    assert time.monotonic() - started_at >= 1.0
    assert stub.records == [{"x": n, "record_id": f"n{n}"} for n in range(3)]
    assert [label["record_id"] for label in stub.labels] == ["n0", "n1", "n2"]


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("send", ["--scenario", "shft"], "there are: none, sudden-shift"),
        ("send", ["--records", "no-such.jsonl"], "no such file"),
        ("send", ["--rate", "-3"], "neither a positive number nor max"),
        ("send", ["--run-id", "a b"], "must be short"),
        ("send", ["--case", "lottery"], "there are: census"),
        ("replay", ["--from", "README.md", "--since", "yesterday"], "'yesterday'"),
        ("replay", [], "Missing option '--from'"),
        ("replay", ["--from", "no-such.jsonl"], "no such file"),
        ("replay", ["--from", "redis://there"], "is no path and none of sqlite://, mongodb://, kafka://"),
        ("replay", ["--from", "kafka://a@b"], "must not hold a login"),
        ("replay", ["--from", "kafka://b", "--new-ids"], "give --no-labels as well"),
        ("replay", ["--from", "x", "--keep", "mongodb://b"], "--keep goes with --model"),
        ("replay", ["--from", "x", "--model", "7", "--resume", "--to", "http://b"], "leave out --to and --resume"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_code_2(command: str, options: list[str], said: str) -> None:
    code, _, err = _run(command, *options)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_an_address_that_is_none_is_told(stream: Path) -> None:
    code, _, err = _run("send", "--records", stream, "--url", "localhost", "--count", 1)
    assert (code, "is no http:// or https:// or kafka:// address" in err) == (2, True)


@pytest.mark.parametrize("command", ["send", "replay"])
def test_help_has_examples(command: str) -> None:
    code, out, _ = _run(command, "--help")
    assert code == 0
    assert f"stream-generator {command} --" in out
