"""A server on this machine that records what a client sends to a cloud."""

import dataclasses
import http.server
import json
import threading
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Attributes:
      method: GET, POST...
      path: path with query.
      headers: name in lower case -> value.
      body: what was sent: parsed JSON, else text, else None.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any


# (status, body as JSON) of a request.
Answer = tuple[int, Any]


class RequestRecorder:
    """Records all requests and answers them by a function; a context manager.

    Attributes:
      requests: what arrived, in order.
      url: address of the server, on loopback.
    """

    def __init__(self, answer: Callable[[Request], Answer]):
        self.requests: list[Request] = []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                headers = {k.lower(): v for k, v in self.headers.items()}
                body = _parse(self.rfile.read(size)) if size else None
                request = Request(self.command, self.path, headers, body)
                recorder.requests.append(request)
                status, content = answer(request)
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

            def log_message(self, format, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread: threading.Thread | None = None
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "RequestRecorder":
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sent(self, method: str, ending: str) -> list[Request]:
        """Returns the requests of a method whose path, without query, ends so."""
        return [
            request
            for request in self.requests
            if request.method == method
            and request.path.partition("?")[0].endswith(ending)
        ]


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
