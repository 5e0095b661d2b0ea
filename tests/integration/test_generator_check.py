"""`stream-generator check` on a running installation: its books outlive SIGKILL, what is wrong is named, and at the
end nothing is left."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from full_stack import Urls, make_topics, running_stack
from monitoring_process import poll_until
from monitoring_world import made_record
from reconciliation import TopicReader, collection, stored_predictions
from record_producer import bootstrap_of, topic_of
from replica import Replica

RECORDS = 300


class Checker:
    """The commands of somebody who checks an installation; ``code`` is of the last check, ``said`` what it printed."""

    def __init__(self, replica: Replica, urls: Urls, folder: Path) -> None:
        self.books = folder / "check.books"
        self.stores = [replica.prediction_url, urls.mongo, urls.kafka]
        self.code = -1
        self.said = ""
        self._replica = replica
        self._records = folder / "records.jsonl"
        rng = random.Random(7)
        self._records.write_text("".join(json.dumps({"record": made_record(rng)}) + "\n" for _ in range(RECORDS)))

    def send(self, run_id: str, *options: str) -> subprocess.Popen[bytes]:
        monitoring = ("--monitoring", self._replica.monitoring_url)
        given = ("--records", str(self._records), "--run-id", run_id, "--books", str(self.books), "--label-share", "0")
        command = [sys.executable, "-m", "stream_generator", "send", *given, *monitoring, *options]
        return subprocess.Popen(command, env=self._replica.environment)

    def check(self, *options: str) -> int:
        command = [sys.executable, "-m", "stream_generator", "check", str(self.books), *self.stores, *options]
        ended = subprocess.run(
            command, env=self._replica.environment, capture_output=True, text=True, timeout=120, check=False
        )
        self.code, self.said = ended.returncode, ended.stdout + ended.stderr
        return self.code

    def keep_records_as_a_stream(self, path: Path) -> None:
        """Where a command that is given no records takes them from."""
        path.parent.mkdir(parents=True)
        path.write_text(self._records.read_text())

    def ids(self) -> list[str]:
        return [
            entry["record_id"] for entry in map(json.loads, self.books.read_text().splitlines()) if "record_id" in entry
        ]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_what_is_wrong_is_named_and_nothing_is_left_at_the_end(urls: Urls, tmp_path: Path) -> None:
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        checker = Checker(replica, urls, tmp_path)
        killed = checker.send("first", "--rate", "100")
        poll_until(lambda: checker.books.exists() and len(checker.ids()) > 100, 60, "some records are answered")
        killed.kill()
        killed.wait()
        assert checker.send("second", "--rate", "200", "--count", "100").wait(60) == 0

        assert checker.check("--monitoring", replica.monitoring_url) == 0, checker.said
        assert "all is accounted for" in checker.said

        first, second, third = sorted(set(checker.ids()))[:3]
        with collection(urls.mongo, "predictions") as predictions:
            predictions.delete_one({"_id": first})
            predictions.update_one({"_id": second}, {"$set": {"score": 0.123}})
        publish_again(urls, third)
        assert checker.check("--within", "0") == 1, checker.said
        assert f"lost       {first}\n" in checker.said
        assert f"differing  {second}\n" in checker.said
        assert "1 copies with the same content" in checker.said

        checker.check("--within", "30", "--erase")
        assert "nothing of them is left" in checker.said, checker.said
        assert stored_predictions(urls.mongo) == {}


@pytest.mark.timeout(240)
def test_the_commands_of_the_page_say_that_all_is_accounted_for_and_leave_nothing(urls: Urls, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        checker = Checker(replica, urls, tmp_path)
        checker.keep_records_as_a_stream(tmp_path / "state" / "shop" / "splits" / "stream.jsonl")
        for shown, ours in {
            "http://127.0.0.1:9696": replica.prediction_url,
            "http://127.0.0.1:8085": replica.monitoring_url,
            "mongodb://127.0.0.1:27017/streamgauge": urls.mongo,
            "kafka://127.0.0.1:9092": urls.kafka,
        }.items():
            assert shown in block
            block = block.replace(shown, ours)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ended = subprocess.run(
            ["bash", "-euc", block],
            cwd=tmp_path,
            env={**replica.environment, "PATH": path},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.count("0 lost, 0 doubled, 0 differing") == 5
        assert "all is accounted for" in ended.stdout
        assert "nothing of them is left" in ended.stdout
        assert stored_predictions(urls.mongo) == {}


def publish_again(urls: Urls, record_id: str) -> None:
    """The same message once more, as a relay that was cut off before it heard the acknowledgement."""
    from kafka import KafkaProducer

    reader = TopicReader(urls.kafka, "predictions")
    [message] = [one for one in reader.read_to_the_end() if one.key == record_id.encode()]
    reader.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap_of(urls.kafka), api_version=(4, 1))
    headers = [(name, value) for name, value in message.headers]
    producer.send(topic_of(urls.kafka, "predictions"), key=message.key, value=message.value, headers=headers).get(30)
    producer.close()


@pytest.fixture
def urls(kafka_url: str, mongo_url: str, kafka_namespace: str, mongo_database: str) -> Urls:
    made = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(made.kafka)
    return made
