"""Serving against an empty Flask route on the same server, in one run.

    python -m benchmarks.serving --stream var/census/splits/stream.jsonl

Prints requests per second of the empty route, of ``/predict`` through the Flask view and of ``/predict`` through the
fast path, as medians over rounds that alternate between them, and the two ratios. Journal and metrics are on,
``durability=process``, the model is the pinned one.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.pinned_model import install_pinned_model, read_census
from benchmarks.processes import free_port, running
from event_backbone.case.files import find_case

#: The ratios below which this benchmark fails.
LEAST_VIEW_RATIO, LEAST_FAST_PATH_RATIO = 0.40, 0.80

WRK_SCRIPT = """
local bodies, next_body = {{}}, 0
for line in io.lines("{path}") do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  next_body = next_body % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next_body])
end
"""


def requests_per_s(url: str, script: Path, *, connections: int, seconds: float) -> float:
    """One run of wrk; anything but 2xx is an error, because a refusal is cheaper than an answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk against {url} met errors:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])


def servers(state_dir: Path) -> Iterator[tuple[str, list[str], dict[str, str], int]]:
    """Name, arguments, environment and port of each contestant."""
    ours = {"CASE": "census", "STATE_DIR": str(state_dir), "DURABILITY": "process", "LOG_LEVEL": "ERROR"}
    port = free_port()
    yield "empty route", ["-m", "benchmarks.empty_route", str(port)], {}, port
    for name, fast_path in (("flask view", "false"), ("fast path", "true")):
        port = free_port()
        env = {
            **ours,
            "LANE": fast_path,
            "PREDICTION_PORT": str(port),
            "RUN_DIR": str(state_dir / name.replace(" ", "-")),
        }
        yield name, ["-m", "prediction_service"], env, port


def measure(stream: Path, rounds: int, seconds: float, connections: int) -> dict[str, list[float]]:
    case = find_case("census", Path("cases"))
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        state_dir = Path(folder)
        records, labels = read_census(stream, case, limit=5000)
        (state_dir / "census" / "bundles").mkdir(parents=True)
        install_pinned_model(state_dir / "census" / "bundles", case, records, labels)
        bodies, script = state_dir / "bodies.jsonl", state_dir / "post.lua"
        bodies.write_text("".join(json.dumps(record) + "\n" for record in records))
        script.write_text(WRK_SCRIPT.format(path=bodies))
        urls = {}
        for name, arguments, env, port in servers(state_dir):
            base = f"http://127.0.0.1:{port}"
            stack.enter_context(running(arguments, env, base + ("/predict" if name == "empty route" else "/readyz")))
            urls[name] = f"{base}/predict"
            requests_per_s(urls[name], script, connections=connections, seconds=1)  # warms
        for _ in range(rounds):
            for name, url in urls.items():
                rate = requests_per_s(url, script, connections=connections, seconds=seconds)
                rates.setdefault(name, []).append(rate)
    return rates


@click.command()
@click.option("--stream", type=click.Path(path_type=Path, exists=True), required=True, help="records to send")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="length of one run of wrk")
@click.option("--connections", default=16, show_default=True)
def main(stream: Path, rounds: int, seconds: float, connections: int) -> None:
    """Serving throughput as a ratio to an empty Flask route; exits 1 below the promised ratios."""
    rates = measure(stream, rounds, seconds, connections)
    empty = statistics.median(rates["empty route"])
    for name, found in rates.items():
        median = statistics.median(found)
        spread = f"{min(found):.0f} to {max(found):.0f}"
        print(f"{name:12} {median:8.0f} requests/s  ratio {median / empty:.2f}  (rounds {spread})")
    view, fast_path = (statistics.median(rates[name]) / empty for name in ("flask view", "fast path"))
    sys.exit(0 if view >= LEAST_VIEW_RATIO and fast_path >= LEAST_FAST_PATH_RATIO else 1)


if __name__ == "__main__":
    main()
