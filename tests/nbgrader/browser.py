"""A headless Chromium, driven over its DevTools protocol; and a Jupyter server for it to look at."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nbgrader.nbgrader_commands import SCRIPTS

websocket = pytest.importorskip("websocket", reason="websocket-client comes with Jupyter's server")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 120.0


class Page:
    """The browser's one page."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=SECONDS)
        self._number = 0

    def open(self, url: str) -> None:
        """Go there; what the page's scripts add comes later."""
        self._send("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, promises awaited."""
        done = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str, seconds: float = SECONDS) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} does not hold on\n{self.text()[:3000]}"
            time.sleep(0.1)

    def text(self) -> str:
        """What a reader sees, frames left out."""
        return self.run("document.body ? document.body.innerText : ''")

    def photograph(self, file: Path) -> None:
        """The visible part, as a PNG."""
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._socket.close()

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with nothing but a page; skips where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"]
    options += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([CHROMIUM, *options, "about:blank"], **quiet) as process:
        try:
            port = _line_of(profile / "DevToolsActivePort", process)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [target for target in json.load(answer) if target["type"] == "page"]
            page = Page(pages[0]["webSocketDebuggerUrl"])
            yield page
            page.close()
        finally:
            process.terminate()


@contextlib.contextmanager
def jupyter(folder: Path, runtime: Path) -> Iterator[str]:
    """JupyterLab with nbgrader's extensions, serving a folder: its address up to the path, and the token."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "PYTEST", "DLGRADE"))}
    environment |= {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    environment |= {f"JUPYTER_{kind}_DIR": str(runtime) for kind in ("RUNTIME", "CONFIG", "DATA")}
    command = [f"{SCRIPTS}/jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    with (
        (runtime / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            record = runtime / f"jpserver-{process.pid}.json"
            _line_of(record, process)
            served = json.loads(record.read_text())
            yield served["url"].rstrip("/") + "{path}?token=" + served["token"]
        finally:
            process.terminate()


def _line_of(file: Path, process: subprocess.Popen) -> str:
    """The first line of a file that a process writes once it is ready."""
    end = time.monotonic() + SECONDS
    while not (file.is_file() and file.read_text().strip()):
        assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
        assert time.monotonic() < end, f"{file} was not written"
        time.sleep(0.05)
    return file.read_text().splitlines()[0]
