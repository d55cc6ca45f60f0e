"""Azurite, Microsoft's emulator of Azure Blob Storage, installed from npm with the versions of the lock file."""

import base64
import fcntl
import hashlib
import hmac
import http.client
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

HERE = Path(__file__).parent / "azurite"
CACHE = Path(__file__).resolve().parents[3] / "build"
ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"a key of the tests, and of nothing else").decode()
_VERSION = "2021-08-06"
_START_S = 60.0


def install() -> Path:
    """Return the path of Azurite's program; the first of several processes installs it with npm."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = CACHE / f"azurite-{hashlib.sha256(lock).hexdigest()[:12]}"
    program = folder / "node_modules/azurite/dist/src/blob/main.js"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "azurite.lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not program.exists():
            _install_into(folder)
    return program


def _install_into(folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, fresh)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--loglevel=error"]
    subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=240)
    fresh.rename(folder)


@dataclass
class Azurite:
    """A running server with a container `logs`, on a port of this computer."""

    port: int

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.port}/{ACCOUNT};"
        )

    def signature(self, permissions: str) -> str:
        """Return a shared access signature for the container."""
        expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = f"/blob/{ACCOUNT}/logs"
        fields = [permissions, "", expiry, resource, "", "", "", _VERSION, "c", "", "", "", "", "", "", ""]
        signed = _sign("\n".join(fields))
        return urlencode({"sp": permissions, "se": expiry, "sv": _VERSION, "sr": "c", "sig": signed})

    def make_container(self) -> None:
        self._ask("PUT", "/logs", {"restype": "container"})

    def read(self, name: str) -> bytes:
        return self._ask("GET", f"/logs/{quote(name)}", {})

    def _ask(self, method: str, path: str, query: dict[str, str]) -> bytes:
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        canonical = f"x-ms-date:{date}\nx-ms-version:{_VERSION}\n/{ACCOUNT}/{ACCOUNT}{path}"
        canonical += "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        headers = {
            "x-ms-date": date,
            "x-ms-version": _VERSION,
            "Authorization": f"SharedKey {ACCOUNT}:{_sign(method + chr(10) * 12 + canonical)}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, f"/{ACCOUNT}{path}?{urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status < 300, body
        return body


def start(folder: Path, port: int = 0) -> tuple[Azurite, subprocess.Popen[bytes]]:
    """Start a server and wait until it accepts connections."""
    port = port or free_port()
    command = ["node", str(install()), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    process = subprocess.Popen(
        command, env={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    )
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise AssertionError(f"Azurite ended with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return Azurite(port), process
    process.kill()
    raise AssertionError("Azurite does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _sign(text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
