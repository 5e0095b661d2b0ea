"""The real things our processes talk to, as processes on free loopback ports that a test may kill, stop and cut.

Each one dies with the thread that started it: start them in the main one.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from monitoring_process import free_port, poll_until
from parent_death import die_with_the_parent
from real_parts_cache import PARTS_DIR, java_classpath, toxiproxy_binary

#: A small, quiet JVM that starts fast.
JAVA = (
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
#: One that is slow at first and twice as fast later: for what is measured.
OPTIMIZING_JAVA = ("java", "-XX:+UseParallelGC", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
STOP_TIMEOUT_S = 20


def accepts_connections(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class RealPart:
    """One process with a port and a folder; what it says goes to ``output.log`` there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        return accepts_connections(self.port)

    def start(self) -> None:
        """Return when it answers. The port and the data are those of the last time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )
        poll_until(self._is_up, 120, f"{type(self).__name__} answers; see {self.folder / 'output.log'}")

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended: {(self.folder / 'output.log').read_text()[-2000:]}")
        return self.is_ready()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    def kill(self) -> None:
        """SIGKILL: the port is closed, what was not on disk is gone."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections are accepted by the kernel and never answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL when it takes too long. Twice, or before the start, is no error."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        self.thaw()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


class KafkaBroker(RealPart):
    """One KRaft node. Kill it freely: a restart finds what was acknowledged.

    A broker tells its clients where to connect, so a proxy has to be where it says: what connects to ``proxied_port``
    is told ``advertised_port``.
    """

    def __init__(self, folder: Path, java: Sequence[str] = JAVA, **properties: str) -> None:
        super().__init__(folder)
        self._jvm = java
        self.proxied_port, self.advertised_port = free_port(), free_port()
        self._controller_port = free_port()
        self._properties = properties
        self._classpath = java_classpath()

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        settings = self.folder / "server.properties"
        if not settings.exists():
            settings.write_text("".join(f"{name}={value}\n" for name, value in self._all_properties().items()))
            self._format(settings)
        return self._java("kafka.Kafka", str(settings))

    def _java(self, *arguments: str) -> Sequence[str]:
        return (*self._jvm, "-Xms128m", "-cp", self._classpath, *arguments)

    def _format(self, settings: Path) -> None:
        cluster_id = uuid.uuid4().hex[:22]
        format_storage = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings))
        subprocess.run(format_storage, check=True, capture_output=True, timeout=60)

    def _all_properties(self) -> dict[str, str]:
        addresses = {"PLAINTEXT": self.port, "PROXIED": self.proxied_port, "CONTROLLER": self._controller_port}
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in addresses.items()),
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{self.advertised_port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in addresses),
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "500",
            # A killed node is registered anew as soon as the old registration is given up.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.dedupe.buffer.size": "4194304",
            **self._properties,
        }

    def is_ready(self) -> bool:
        """A node that restarts accepts connections before it serves anything."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        if not super().is_ready():
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{self.port}", request_timeout_ms=5000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()


class MongoServer(RealPart):
    """Speaks MongoDB's wire protocol. It writes to disk up to a second late: a kill may lose what it acknowledged."""

    def __init__(self, folder: Path, java: Sequence[str] = JAVA) -> None:
        super().__init__(folder)
        self._java = java
        self._classpath = java_classpath()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        source, data = PARTS_DIR / "MongoWireServer.java", self.folder / "data.mv"
        return (*self._java, "-cp", self._classpath, str(source), str(self.port), str(data))


class MlflowServer(RealPart):
    """Runs, registry and artifacts over HTTP; what it keeps lies in its folder."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        stores = {"backend-store-uri": f"sqlite:///{self.folder / 'mlflow.db'}", "artifacts-destination": self.folder}
        options = [f"--{name}={value}" for name, value in {**stores, "workers": 1, "port": self.port}.items()]
        # Its queue of background jobs would be three more processes.
        alone = ("env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true")
        return (*alone, sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", *options)

    def is_ready(self) -> bool:
        return super().is_ready() and requests.get(f"{self.url}/health", timeout=5).ok


class Proxy:
    """A port that leads to another one, well or badly."""

    def __init__(self, api_url: str, name: str, port: int) -> None:
        self.port = port
        self._url = f"{api_url}/proxies/{name}"

    def cut(self) -> None:
        """Close every connection and the port."""
        self._post("", enabled=False)

    def restore(self) -> None:
        self._post("", enabled=True)

    def add(self, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> None:
        """A toxic, such as ``add("latency", latency=500, jitter=100)``; ``upstream`` is from us to the server."""
        self._post("/toxics", type=kind, stream=stream, toxicity=toxicity, attributes=attributes)

    def clear(self) -> None:
        """Remove every toxic."""
        for toxic in requests.get(f"{self._url}/toxics", timeout=5).json():
            requests.delete(f"{self._url}/toxics/{toxic['name']}", timeout=5).raise_for_status()

    def remove(self) -> None:
        """Close the port, so that another proxy may have it."""
        requests.delete(self._url, timeout=5).raise_for_status()

    def _post(self, path: str, **body: Any) -> None:
        requests.post(f"{self._url}{path}", json=body, timeout=5).raise_for_status()


class Toxiproxy(RealPart):
    """Network faults between two processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._binary = toxiproxy_binary()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return (str(self._binary), "-host", "127.0.0.1", "-port", str(self.port))

    def proxy(self, upstream_port: int, port: int | None = None) -> Proxy:
        """``port`` for a server that tells its clients where to connect."""
        port, name = port or free_port(), f"to-{upstream_port}-{uuid.uuid4().hex[:8]}"
        described = {"name": name, "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream_port}"}
        requests.post(f"{self.url}/proxies", json={**described, "enabled": True}, timeout=5).raise_for_status()
        return Proxy(self.url, name, port)


def remove_folder(part: RealPart) -> None:
    """Logs of a broker are large: they go with the test."""
    part.stop()
    shutil.rmtree(part.folder, ignore_errors=True)
