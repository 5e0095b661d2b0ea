"""Runs the stack of docker-compose.yml where no image can be pulled, and says what it saw.

A Debian made by debootstrap stands in for the Python image, and stand-ins of containers/local for Kafka (the real
broker, from Maven), MongoDB (its protocol, without log-in), Prometheus and Alertmanager (Debian's). Grafana is left
out. Everything else is as in docker-compose.yml: images of ours, users, file systems, networks, secrets, health checks,
order of start.

It needs root, docker.io, docker-compose and debootstrap of Debian, Java and Maven, and the virtual environment::

    .venv/bin/python containers/try_locally.py --folder FOLDER [--keep]

A docker daemon of its own is started with its data in FOLDER and stopped again, unless DOCKER_HOST names one. PIP_CONF
and CA_CERTIFICATES may name files that pip needs to reach packages from here; they go into no image.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCAL = ROOT / "containers" / "local"
PROJECT = "streamgauge-local"
OUR_IMAGES = ("generator", "prediction", "training", "monitoring")
PARTS = ("kafka", "mongo", "prometheus", "alertmanager")
#: The client of a newer package speaks to the daemon of an older one.
API_VERSION = "1.41"

#: A proxy that is meant for the internet has no business here.
_WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: Beside the ports of a stack that may be running for real.
PORTS = {
    "PREDICTION_PORT": "29696",
    "MONITORING_PORT": "28085",
    "PROMETHEUS_PORT": "29090",
    "ALERTMANAGER_PORT": "29093",
    "MLFLOW_PORT": "25000",
    "TRAINING_PORT": "28090",
}
ONE_SHOTS = ("secrets", "topics", "mongo-setup", "trainer", "alert-routes")
OUR_SERVICES = ("mlflow", "prediction", "sidecar", "worker", "monitoring", "training", "generator")
SERVICES = (*OUR_SERVICES, *PARTS)


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def run(*command: str | Path, **options: Any) -> str:
    """What a command printed; raises with its errors when it fails."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # noqa: S603  # ours
    if ended.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]}: {ended.stdout[-1500:]}{ended.stderr[-3000:]}")
    return str(ended.stdout)


def poll_until(what: str, condition: Callable[[], str | None], timeout_s: float) -> None:
    """``condition`` says what is missing, ``None`` when nothing is."""
    deadline = time.monotonic() + timeout_s
    while (missing := condition()) is not None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: {missing}")
        time.sleep(2)


@contextlib.contextmanager
def docker_daemon(folder: Path) -> Iterator[str]:
    """The address of a daemon; one of our own ends with the block."""
    if "DOCKER_HOST" in os.environ:
        yield os.environ["DOCKER_HOST"]
        return
    host = f"unix://{folder}/docker.sock"
    arguments = ["--data-root", folder / "docker", "--exec-root", folder / "exec", "--pidfile", folder / "docker.pid"]
    with (folder / "dockerd.log").open("wb") as log:
        command = ["dockerd", "-H", host, *map(str, arguments)]
        daemon = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  # ours
        try:
            poll_until("dockerd listens", lambda: None if (folder / "docker.sock").exists() else "no socket", 60)
            yield host
        finally:
            daemon.terminate()
            daemon.wait(60)


class Docker:
    """The docker client and docker-compose, for one project."""

    def __init__(self, host: str) -> None:
        images = {f"{part.upper()}_IMAGE": f"streamgauge-local/{part}" for part in PARTS}
        self.environment = {
            **os.environ,
            **PORTS,
            **images,
            "DOCKER_HOST": host,
            "DOCKER_API_VERSION": API_VERSION,
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_PROJECT_NAME": PROJECT,
        }
        self._client = _client_that_builds(self.environment)

    def __call__(self, *arguments: str | Path, **options: Any) -> str:
        return run(self._client, *arguments, env=self.environment, **options)

    def compose(self, *arguments: str) -> str:
        files = ("-f", ROOT / "docker-compose.yml", "-f", LOCAL / "compose.yml")
        return run("docker-compose", *files, *arguments, env=self.environment, cwd=ROOT)

    def container(self, service: str) -> Mapping[str, Any]:
        """What the engine knows about a service's container."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        found: Mapping[str, Any] = json.loads(self("inspect", name))[0] if name else {}
        return found


def _client_that_builds(environment: Mapping[str, str]) -> str:
    """The first docker client that can use BuildKit: newer ones need a plugin that may not be there."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    clients = [path for folder in folders if (path := shutil.which("docker", path=folder))]
    for client in clients:
        command = [client, "build", "--help"]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603  # ours
        if ended.returncode == 0 and b"--secret" in ended.stdout:
            return client
    raise RuntimeError(f"none of {clients} can use BuildKit")


def build_base(docker: Docker, folder: Path) -> None:
    if docker("images", "--quiet", "streamgauge-local/python").strip():
        return
    debian = folder / "debian"
    shutil.rmtree(debian, ignore_errors=True)
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", debian)
    archive = folder / "debian.tar"
    run("tar", "-C", debian, "-cf", archive, ".")
    docker("import", archive, "streamgauge-local/debian")
    docker("build", "--tag", "streamgauge-local/python", "--file", LOCAL / "base.Dockerfile", LOCAL)
    archive.unlink()


def build_parts(docker: Docker, folder: Path) -> None:
    """Jars and the wire server are those of the tests."""
    find_jars = (
        "import sys; sys.path.insert(0, 'tests/support'); import real_parts_cache as c; print(c.java_classpath())"
    )
    jars = Path(run(sys.executable, "-c", find_jars, cwd=ROOT).strip()).parent
    context = folder / "parts"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(jars, context / "jars")
    run("javac", "-cp", f"{jars}/*", "-d", context / "classes", ROOT / "tests" / "parts" / "MongoWireServer.java")
    for part in PARTS:
        tag = f"streamgauge-local/{part}"
        docker("build", "--target", part, "--tag", tag, "--file", LOCAL / "parts.Dockerfile", context)


def build_ours(docker: Docker) -> None:
    secrets = {"pip_conf": os.environ.get("PIP_CONF"), "ca_certificates": os.environ.get("CA_CERTIFICATES")}
    given = [f"--secret=id={name},src={path}" for name, path in secrets.items() if path]
    for service in OUR_IMAGES:
        arguments = (f"SERVICE={service}", "BASE_IMAGE=streamgauge-local/python")
        named = [word for argument in arguments for word in ("--build-arg", argument)]
        docker("build", *named, *given, "--tag", f"streamgauge/{service}:0.1.0", ROOT)
        say(f"built streamgauge/{service}: {_megabytes(docker, service)} MB")


def _megabytes(docker: Docker, service: str) -> int:
    return int(docker("inspect", "--format", "{{.Size}}", f"streamgauge/{service}:0.1.0")) // 1_000_000


def not_healthy(docker: Docker) -> str | None:
    states = {service: docker.container(service).get("State", {}) for service in SERVICES}
    sick = [name for name, state in states.items() if state.get("Health", {}).get("Status") != "healthy"]
    return f"not healthy: {', '.join(sick)}" if sick else None


def check_hardening(docker: Docker) -> None:
    """Users, capabilities and file systems as the engine runs them, and as the processes find them."""
    for service in SERVICES:
        found = docker.container(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], f"{service} may write its root file system"
        assert host["CapDrop"] == ["ALL"], f"{service} keeps capabilities"
        assert host["SecurityOpt"] == ["no-new-privileges:true"], f"{service} may gain privileges"
        assert host["Memory"] > 0, f"{service} may take all memory"
        assert host["NanoCpus"] > 0, f"{service} may take every processor"
    for service in OUR_SERVICES:
        uid = docker.compose("exec", "-T", service, "id", "-u").strip()
        assert uid == "10001", f"{service} runs as {uid}"
        tried = docker.compose("exec", "-T", service, "sh", "-c", "touch /app/x 2>&1 || true")
        assert "Read-only file system" in tried, f"{service}: {tried}"
    say(f"{len(SERVICES)} services: read-only root, no capabilities, limits; ours run as uid 10001")


class Asking:
    """Requests to the published ports."""

    def __init__(self, docker: Docker) -> None:
        self._key = _secret(docker, "operator_api_key")
        login = f"streamgauge:{_secret(docker, 'prometheus_password')}"
        self._login = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def status(self, url: str, body: Any = None, *, with_key: bool = True) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **({"X-API-Key": self._key} if with_key else {})}
        data = None if body is None else json.dumps(body).encode()
        return self._asked(urllib.request.Request(url, data=data, headers=headers))  # noqa: S310  # our own addresses

    def logged_in(self, url: str) -> tuple[int, Any]:
        """At Prometheus."""
        return self._asked(urllib.request.Request(url, headers=self._login))  # noqa: S310  # our own addresses

    @staticmethod
    def _asked(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with _WITHOUT_PROXY.open(request, timeout=10) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            body = error.read()
            return error.code, json.loads(body) if "json" in error.headers.get("Content-Type", "") else body.decode()


def _secret(docker: Docker, name: str) -> str:
    show = ("python", "secrets", "containers/make_secrets.py", "show", name)
    return docker.compose("run", "--rm", "-T", "--entrypoint", *show).strip()


def check_prediction(docker: Docker, asking: Asking) -> None:
    line = docker.compose("exec", "-T", "generator", "head", "-1", "/var/lib/streamgauge/census/splits/stream.jsonl")
    record = {**json.loads(line)["record"], "record_id": f"tried-{int(time.time())}"}
    url = f"http://127.0.0.1:{PORTS['PREDICTION_PORT']}/predict"
    refused, _ = asking.status(url, record, with_key=False)
    assert refused == 401, f"without a key: {refused}"
    code, answer = asking.status(url, record)
    assert code == 200, f"{code} {answer}"
    say(f"without key 401; with it {answer['prediction']} by version {answer['model']['version']}")


def check_flow(asking: Asking) -> None:
    """What the generator sends is delivered to both sinks and comes to monitoring through Kafka."""
    prediction = f"http://127.0.0.1:{PORTS['PREDICTION_PORT']}/status"
    monitoring = f"http://127.0.0.1:{PORTS['MONITORING_PORT']}/api/state"

    def missing() -> str | None:
        _, state = asking.status(monitoring)
        _, status = asking.status(prediction)
        sinks = {name: (sink["lag"], sink["fault"]) for name, sink in status["sinks"].items()}
        counted, checked = state["totals"]["predictions"], state["evaluation"]
        if counted < 600 or checked is None or any(fault for _, fault in sinks.values()):
            return f"monitoring has {counted} predictions, sinks {sinks}"
        say(f"monitoring counted {counted} predictions, sinks (rows behind, fault): {sinks}")
        return None

    poll_until("predictions come to monitoring through Kafka", missing, 240)


_PRODUCE = """
import json, sys
from kafka import KafkaProducer
password = open('/run/streamgauge-secrets/kafka_password').read()
producer = KafkaProducer(bootstrap_servers='kafka:9092', security_protocol='SASL_PLAINTEXT',
    sasl_mechanism='SCRAM-SHA-512', sasl_plain_username='streamgauge', sasl_plain_password=password)
rows = [json.loads(line)['record'] for line in sys.stdin]
for number, row in enumerate(rows):
    producer.send('census.records', json.dumps(row).encode(), f'{sys.argv[1]}-{number}'.encode())
producer.flush(30)
"""


def check_worker(docker: Docker) -> None:
    """Records of somebody else come through Kafka and are kept under their keys."""
    head = "head -100 /var/lib/streamgauge/census/splits/stream.jsonl"
    run_id = f"kafka-{int(time.time())}"
    docker.compose("exec", "-T", "worker", "sh", "-c", f'{head} | python -c "$0" {run_id}', _PRODUCE)
    opener = "urllib.request.build_opener(urllib.request.ProxyHandler({}))"
    ask = f"import urllib.request; print({opener}.open('http://127.0.0.1:9697/metrics').read().decode())"

    def missing() -> str | None:
        metrics = docker.compose("exec", "-T", "worker", "python", "-c", ask).splitlines()
        answered = next(line for line in metrics if line.startswith("prediction_answered_total{"))
        return None if float(answered.split()[1]) >= 100 else answered

    poll_until("the worker predicted 100 records", missing, 60)
    say("the worker predicted 100 records that came through Kafka")


def check_prometheus(asking: Asking) -> None:
    url = f"http://127.0.0.1:{PORTS['PROMETHEUS_PORT']}/api/v1/targets"

    def down() -> str | None:
        _, answer = asking.logged_in(url)
        found = {target["labels"]["job"]: target["health"] for target in answer["data"]["activeTargets"]}
        away = {job for job, health in found.items() if health != "up"} - {"grafana"}
        return f"not up: {away}" if away else None

    for part in ("PROMETHEUS", "ALERTMANAGER"):
        code, _ = asking.status(f"http://127.0.0.1:{PORTS[f'{part}_PORT']}/metrics", with_key=False)
        assert code == 401, f"{part.lower()} answers {code} to whoever does not log in"
    poll_until("Prometheus scrapes everything", down, 60)
    say("Prometheus scrapes prediction, worker, monitoring, Alertmanager and itself")


def check_again(docker: Docker) -> None:
    """Starting again changes no secret and trains nothing."""
    before = docker.container("trainer")["State"]["FinishedAt"], _digests(docker)
    docker.compose("up", "--detach", "--no-build", "trainer")
    poll_until("the trainer ends", lambda: _unfinished(docker, "trainer"), 120)
    assert _digests(docker) == before[1], "the secrets changed"
    assert "unchanged" in docker.compose("logs", "--tail=20", "trainer")
    say("started again: the same secrets, the same champion")


def _digests(docker: Docker) -> str:
    command = "sha256sum /secrets/*/*"
    return docker.compose("run", "--rm", "-T", "--entrypoint", "sh", "secrets", "-c", command)


def _unfinished(docker: Docker, service: str) -> str | None:
    state = docker.container(service)["State"]
    if state["Status"] == "exited" and state["ExitCode"]:
        raise RuntimeError(f"{service} ended with {state['ExitCode']}: {docker.compose('logs', '--tail=20', service)}")
    return None if state["Status"] == "exited" else f"{service} is {state['Status']}"


def try_stack(docker: Docker) -> None:
    say("docker-compose up")
    docker.compose("up", "--detach", "--no-build", *SERVICES)
    for service in ONE_SHOTS:
        assert _unfinished(docker, service) is None
    poll_until("every service is healthy", lambda: not_healthy(docker), 300)
    say(f"{', '.join(ONE_SHOTS)} ended with 0; healthy: {', '.join(SERVICES)}")
    check_hardening(docker)
    asking = Asking(docker)
    check_prediction(docker, asking)
    check_flow(asking)
    check_worker(docker)
    check_prometheus(asking)
    check_again(docker)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the daemon's data and what is built")
    parser.add_argument("--keep", action="store_true", help="leave containers and volumes as they are")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with docker_daemon(folder) as host:
        docker = Docker(host)
        build_base(docker, folder)
        build_parts(docker, folder)
        build_ours(docker)
        try:
            try_stack(docker)
        finally:
            if not options.keep:
                docker.compose("down", "--volumes", "--timeout", "30")
    say("everything was as it should be")


if __name__ == "__main__":
    main(sys.argv[1:])
