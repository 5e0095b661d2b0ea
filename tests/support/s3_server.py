"""S3's interface in this process, by moto."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import requests


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server with an empty bucket called ``models``, to which MLflow's client goes meanwhile.

    Credentials are for the caller to set.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        # All servers of a process have one store, which outlives them.
        requests.post(f"{url}/moto-api/reset", timeout=10).raise_for_status()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
            environment.setenv("MLFLOW_S3_ENDPOINT_URL", url)
            boto3.client("s3", endpoint_url=url).create_bucket(Bucket="models")
            yield url
    finally:
        server.stop()
