"""Google Cloud Storage on one machine: fake-gcs-server, as everybody's `gs://`.

TensorFlow has the service's host names built in. A pod whose /etc/hosts names this
machine's address, and that trusts the certificate made here, comes to this server with
its own client, unchanged; so do Beam, google-cloud-storage and Go's client.
"""

import email
import functools
import http.client
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping

from tests import processes

# The newest that was tried; a Go module.
_SERVER = "github.com/fsouza/fake-gcs-server@v1.52.2"
_HOSTS = ("storage.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com")
_SECONDS_TO_START = 30


@functools.cache
def missing() -> str:
    """Returns which program is missing to build and run the server, "" if none."""
    for program in ("go", "openssl"):
        if not shutil.which(program):
            return f"{program} not found, which the storage server needs"
    return ""


def build(cache: str) -> str:
    """Builds the server unless it is in `cache`; returns its path.

    The first time takes one to three minutes, and 1 GB of Go's own caches.
    """
    folder = os.path.join(cache, _SERVER.rpartition("@")[2])
    program = os.path.join(folder, "fake-gcs-server")
    if not os.path.exists(program):
        done = subprocess.run(
            ["go", "install", "-p", "2", _SERVER],
            env={**os.environ, "GOBIN": folder},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return program


class Bucket:
    """A server with one bucket, in the memory of the server."""

    def __init__(self, program: str, directory: pathlib.Path, address: str):
        """Starts the server.

        Args:
          program: path of fake-gcs-server.
          directory: for the certificate and the log.
          address: loopback address; the server takes port 443 of it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.name = "bucket"
        self.address = address
        self.certificate = str(directory / "certificate.pem")
        key = str(directory / "key.pem")
        names = ",".join([f"DNS:{host}" for host in _HOSTS] + [f"IP:{address}"])
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                *("-days", "2", "-subj", "/CN=storage.googleapis.com"),
                *("-addext", f"subjectAltName={names}"),
                *("-keyout", key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.key = key
        self.credentials = str(directory / "credentials.json")
        with open(self.credentials, "w") as file:
            secrets = {"client_id": "x", "client_secret": "x", "refresh_token": "x"}
            json.dump({"type": "authorized_user", **secrets}, file)
        self._context = ssl.create_default_context(cafile=self.certificate)
        self.log = directory / "log.txt"
        port = processes.free_port()
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, "-backend", "memory", "-scheme", "http"),
                    *("-host", "127.0.0.1", "-port", str(port), "-log-level", "warn"),
                    *("-external-url", "https://storage.googleapis.com"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.certificate, key)
        self._front = _FrontServer(address, server, port)
        threading.Thread(target=self._front.serve_forever, daemon=True).start()
        end = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self._call("POST", "/storage/v1/b", json.dumps({"name": self.name}))
                break
            except OSError:  # Nobody listens yet.
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        self._front.shutdown()
        self._front.server_close()
        self._process.kill()
        self._process.wait()

    @property
    def uri(self) -> str:
        return f"gs://{self.name}"

    @property
    def files(self) -> dict[str, str]:
        """Files of a pod, by which it finds the server."""
        hosts = "".join(f"{self.address} {host}\n" for host in _HOSTS)
        return {"/etc/hosts": f"127.0.0.1 localhost\n{hosts}"}

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of a pod, by which it trusts the server."""
        return {
            # Of Go, of TensorFlow, of requests, of httplib2.
            "SSL_CERT_FILE": self.certificate,
            "CURL_CA_BUNDLE": self.certificate,
            "REQUESTS_CA_BUNDLE": self.certificate,
            "HTTPLIB2_CA_CERTS": self.certificate,
            # A user's credentials, for which every client first asks for a token.
            "GOOGLE_APPLICATION_CREDENTIALS": self.credentials,
            "GOOGLE_CLOUD_PROJECT": "project",
        }

    def name_of(self, uri: str) -> str:
        """Returns the name of an object, or the prefix of names, by its URI."""
        assert uri.startswith(f"{self.uri}/"), uri
        return uri.removeprefix(f"{self.uri}/")

    def names(self, prefix: str = "") -> list[str]:
        """Returns the names of the objects that begin with `prefix`."""
        query = urllib.parse.urlencode({"prefix": prefix, "maxResults": 100000})
        answer = self._call("GET", f"/storage/v1/b/{self.name}/o?{query}")
        return [one["name"] for one in json.loads(answer).get("items", [])]

    def read(self, name: str) -> bytes:
        name = urllib.parse.quote(name, safe="")
        return self._call("GET", f"/storage/v1/b/{self.name}/o/{name}?alt=media")

    def write(self, name: str, content: bytes) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        self._call("POST", f"/upload/storage/v1/b/{self.name}/o?{query}", content)

    def delete(self, name: str) -> None:
        name = urllib.parse.quote(name, safe="")
        self._call("DELETE", f"/storage/v1/b/{self.name}/o/{name}")

    def upload(self, directory: str, name: str) -> str:
        """Copies a directory; returns its URI."""
        for path in pathlib.Path(directory).rglob("*"):
            if path.is_file():
                relative = path.relative_to(directory).as_posix()
                self.write(f"{name}/{relative}", path.read_bytes())
        return f"{self.uri}/{name}"

    def _call(self, method: str, path: str, body: str | bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"https://{self.address}{path}",
            data=body.encode() if isinstance(body, str) else body,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self._context) as answer:
            return answer.read()


def text(bucket: Bucket, uri: str) -> str:
    """Returns the text of an object of a bucket by its URI."""
    return bucket.read(bucket.name_of(uri)).decode()


def environment(bucket: Bucket, variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of a pod that uses the bucket."""
    return {**variables, **bucket.variables}


class _Front(http.server.BaseHTTPRequestHandler):
    """Ends TLS, and gives the server what it understands of what clients send.

    TensorFlow sends `Transfer-Encoding: identity` with each upload, which Google takes
    and Go's HTTP server refuses. Google's Python client sends batches whose parts have
    no Content-ID, which the server leaves out; here each part is a request of its own.
    """

    protocol_version = "HTTP/1.1"
    server: "_FrontServer"

    def do_GET(self):
        self._answer()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        coding = headers.pop("transfer-encoding", "identity")
        if coding == "identity":
            body = self.rfile.read(int(headers.get("content-length", 0)))
        else:
            body = b"".join(iter(self._chunk, b""))
        headers["content-length"] = str(len(body))
        if self.path.endswith("/token"):
            token = {"access_token": "x", "token_type": "Bearer", "expires_in": 3600}
            self._send("application/json", json.dumps(token).encode())
            return
        if self.path.startswith("/batch/"):
            self._batch(headers["content-type"], body)
            return
        status, answer_headers, answer = self._ask(
            self.command, self.path, headers, body
        )
        self.send_response(status)
        for name, value in answer_headers:
            if name.lower() not in ("transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in answer_headers):
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _ask(self, method, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _batch(self, content_type: str, body: bytes) -> None:
        message = email.message_from_bytes(
            b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
        )
        boundary = "batch_of_the_test"
        answers = []
        for part in message.get_payload():
            text = part.get_payload(decode=True).decode()
            first, _, rest = text.lstrip().partition("\n")
            method, target, *_ = first.split()
            head, _, content = rest.replace("\r\n", "\n").partition("\n\n")
            headers = dict(
                line.split(": ", 1) for line in head.splitlines() if ": " in line
            )
            headers = {
                k: v for k, v in headers.items() if k.lower() != "content-length"
            }
            path = target[target.index("/", 8) :] if "://" in target else target
            status, _, answer = self._ask(method, path, headers, content.encode())
            answers.append(
                f"--{boundary}\r\nContent-Type: application/http\r\n\r\n"
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(answer)}\r\n\r\n{answer.decode()}\r\n"
            )
        whole = ("".join(answers) + f"--{boundary}--\r\n").encode()
        self._send(f'multipart/mixed; boundary="{boundary}"', whole)

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        del format, args


class _FrontServer(http.server.ThreadingHTTPServer):
    """Serves `_Front` with TLS, whose handshakes are in the threads."""

    daemon_threads = True

    def __init__(self, address: str, context: ssl.SSLContext, behind: int):
        super().__init__((address, 443), _Front)
        self._context = context
        self.behind = behind

    def finish_request(self, request, client_address):
        try:
            request = self._context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        except OSError:
            pass  # A client that has gone, or that does not trust the certificate.
