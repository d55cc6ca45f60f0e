"""HTTP server that records requests and answers with given statuses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Service(NamedTuple):
    url: str
    requests: list[Request]
    answers: list[int]

    @property
    def posts(self) -> list[Any]:
        return [request.body for request in self.requests if request.method == "POST"]


@contextmanager
def service(found: object = None) -> Iterator[Service]:
    """Run a server that records requests; it answers GET with `found`, others with status `answers`, by default 200."""
    requests: list[Request] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.loads(text) if text.startswith((b"[", b"{")) else text
            requests.append(Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            content = json.dumps(found if self.command == "GET" else "saved").encode()
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_OPTIONS = answer  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - as its base
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Service(f"http://127.0.0.1:{server.server_address[1]}", requests, answers)
        finally:
            server.shutdown()
            thread.join()
