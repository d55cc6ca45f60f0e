"""S3 object store in memory: moto's server on a port of the loopback."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from tests.fakes.answering import knock, wait_for_answer

BUCKET = "backups"


@contextmanager
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an S3 server with a bucket, and set the variables that clients read; yield the bucket's URL."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("no moto_server: pipx install 'moto[server,s3]'")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "name", "AWS_SECRET_ACCESS_KEY": "word",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    process = subprocess.Popen(
        [program, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_answer(process, "moto_server", lambda: knock(port))
        httpx.put(f"{url}/{BUCKET}", timeout=10).raise_for_status()
        yield f"s3://{BUCKET}/pi"
    finally:
        process.terminate()
        process.wait()
