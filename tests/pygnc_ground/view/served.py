"""`pygnc view` as a process, and its page in a browser."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_S: Final = 60.0
_START: Final = "import sys; from pygnc_ground.commands.view import app; sys.exit(app(prog_name='pygnc view'))"


class Server:
    """Running `pygnc view`."""

    def __init__(self, home: Path, *words: str) -> None:
        self.log = home / "view.log"
        with self.log.open("wb") as log:
            environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
            command = [sys.executable, "-c", _START, *words]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.until(lambda: "stop with Ctrl-C" in self.text)

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def links(self) -> list[str]:
        """Printed links, the newest last."""
        return re.findall(r"open (http://\S+)", self.text)

    @property
    def port(self) -> int:
        return int(self.links[0].split(":")[2].split("/")[0])

    def memory_mb(self) -> float:
        """Return the most memory in use so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / 100

    def until(self, condition: Any) -> None:  # noqa: ANN401 - any function
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def view(home: Path, *words: str) -> Iterator[Server]:
    """Serve the newest run of a home, or what the words name, at any free port."""
    server = Server(home, *(words or (str(home),)), *(() if "--port" in words else ("--port", "0")))
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def opened(browser: Chrome, server: Server) -> Chrome:
    """Open the newest link, and wait for the first rows."""
    browser.get("about:blank")
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(server.links[-1])
    return browser


def until(page: Chrome, script: str, *arguments: object) -> Any:  # noqa: ANN401 - any value of JavaScript
    """Wait until an expression is true; return its value."""
    return WebDriverWait(page, PATIENCE_S, 0.05).until(lambda now: now.execute_script(f"return {script}", *arguments))


def errors(page: Chrome) -> list[str]:
    """Return the errors in the console since the last call."""
    entries = page.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def page_memory(page: Chrome) -> tuple[float, int]:
    """Return the memory of the page's JavaScript without garbage, in MB, and the number of its nodes."""
    page.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    heap, nodes = (page.execute_cdp_cmd(name, {}) for name in ("Runtime.getHeapUsage", "Memory.getDOMCounters"))
    return (heap["usedSize"] + heap["backingStorageSize"]) / 1e6, int(nodes["nodes"])
