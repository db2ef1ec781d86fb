"""Headless Chromium by the DevTools protocol: what a page is like when it is opened."""

import base64
import json
import os
import shutil
import subprocess
import time

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-quic", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
)
_SECONDS = 60  # A machine with other work starts a browser slowly.


class Chromium:
    """A browser with one tab.

    Attributes:
      messages: errors and warnings of the console, and requests that left the page,
        since the last `open`.
    """

    def __init__(self, directory: str):
        """Starts the browser; `directory` holds its profile and must be empty."""
        import websocket  # websocket-client, of the kfp extra's dependencies and dev.

        self._process = subprocess.Popen(
            [BROWSER, *_FLAGS, f"--user-data-dir={directory}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.messages = []
        self._number = 0
        address = _address(os.path.join(directory, "DevToolsActivePort"))
        self._socket = websocket.create_connection(address, timeout=_SECONDS)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._process.terminate()
        self._process.wait(_SECONDS)

    def open(self, path: str, width: int, scheme: str) -> None:
        """Opens a file, `width` pixels wide; `scheme` is "light" or "dark"."""
        self.messages = []
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **dict(width=width, height=900, deviceScaleFactor=1, mobile=False),
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self._loaded = False
        self.call("Page.navigate", url=f"file://{path}")
        while not self._loaded:
            self._receive()
        # Console messages that are on their way come before the answer to this.
        self.evaluate("new Promise(done => setTimeout(done, 100))")

    def evaluate(self, expression: str):
        """Returns the value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate",
            **dict(expression=expression, returnByValue=True, awaitPromise=True),
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: str, full: bool = True) -> None:
        """Writes a PNG of the page, or of what of it is in the window."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def call(self, method: str, **parameters) -> dict:
        """Returns the result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = self._receive()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _receive(self) -> dict:
        message = json.loads(self._socket.recv())
        event, what = message.get("method"), message.get("params", {})
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(what)
        elif event == "Runtime.consoleAPICalled" and what["type"] != "log":
            self.messages.append(what)
        elif event == "Network.requestWillBeSent" and what["type"] != "Document":
            self.messages.append(what["request"]["url"])
        return message


def _address(path: str) -> str:
    end = time.monotonic() + _SECONDS
    while True:
        if os.path.exists(path):
            with open(path) as file:
                lines = file.read().split()
            if len(lines) == 2:  # Else it is being written.
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if time.monotonic() > end:
            raise TimeoutError(f"{BROWSER} did not start in {_SECONDS} s.")
        time.sleep(0.05)
