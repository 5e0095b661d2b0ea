"""Logs name columns and reasons, and hold no id and no value of a record or a label, however a request ends."""

from __future__ import annotations

from pathlib import Path

import requests
from monitoring_process import MonitoringProcess
from monitoring_world import body_of, label, prediction
from prediction_process import running
from prediction_world import made_record

MARKER = "marker-7f3a"


def test_no_log_line_holds_a_value_of_a_record(tmp_path: Path) -> None:
    record = made_record(record_id=f"{MARKER}-id", neighbour=MARKER)
    with running(tmp_path, LOG_LEVEL="DEBUG") as server:
        sent = [
            server.predict(record),
            server.predict({**record, "neighbour": f"another {MARKER}"}),
            server.predict({**record, "leaves": MARKER, MARKER: MARKER}),
            server.send("POST", "/predict", f'{{"soil": "{MARKER}"'.encode()),
            server.send_json("POST", "/predict/batch", [record, {"soil": MARKER}, MARKER]),
            server.send_json("POST", "/labels", {"record_id": f"{MARKER}-id", "label": MARKER}),
            server.send("GET", f"/predictions/{MARKER}-none"),
            server.send("DELETE", f"/predictions/{MARKER}-id"),
            server.send("GET", f"/{MARKER}"),
        ]
        assert {answer.status for answer in sent} >= {200, 400, 404, 409, 422}
        assert MARKER in "".join(answer.body.decode() for answer in sent)
    assert '"event"' in server.log.read_text()
    assert MARKER not in server.log.read_text()


def test_no_log_line_of_monitoring_holds_a_value_of_a_record(tmp_path: Path) -> None:
    events = [prediction(f"{MARKER}-{number}", {"price": 7.0, MARKER: MARKER}, "b" * 64) for number in range(2)]
    body = body_of([*events, label(f"{MARKER}-0", MARKER)]) + f'{{"{MARKER}": "{MARKER}"}}\n{MARKER}\n'.encode()
    service = MonitoringProcess(tmp_path, settings={"LOG_LEVEL": "DEBUG"})
    service.start()
    try:
        receipt = requests.post(f"{service.url}/events", data=body, timeout=10)
        assert receipt.status_code == 200
        assert receipt.json()["refused"]
    finally:
        service.stop()
    assert '"event"' in service.log.read_text()
    assert MARKER not in service.log.read_text()
