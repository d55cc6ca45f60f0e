"""Published code of batonopc, changed as docs/station.md describes, against our server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from pygnc_station.server.access import new_pin
from pygnc_station.store.readings import clock_ms
from tests.fakes.batonopc import COLUMNS
from tests.pygnc_station.logger.samples import ROOT
from tests.pygnc_station.server.samples import Running, server

pytestmark = pytest.mark.slow

COMMIT: Final = "3daba853ebc8728bdd50b8d2ab3b3a2f68e67ef9"
PUBLIC: Final = "https://github.com/phoebebright/batonopc"
TIMEOUT_S: Final = 60.0
_GIT: Final = shutil.which("git") or "git"
_METHOD: Final = re.compile(r" {4}def upload_zip.*?(?=\n {4}def )", re.DOTALL)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Checkout of batonopc, from the folder PYGNC_PEERS or from its public repository."""
    pytest.importorskip("requests", reason="batonopc imports requests: pip install requests")
    peers = os.environ.get("PYGNC_PEERS")
    source = str(Path(peers) / "batonopc") if peers else PUBLIC
    folder = tmp_path / "batonopc"
    try:
        _git("init", "-q", str(folder))
        _git("-C", str(folder), "fetch", "-q", "--depth=1", source, COMMIT)
        _git("-C", str(folder), "checkout", "-q", "FETCH_HEAD")
    except (subprocess.SubprocessError, OSError):
        pytest.skip(f"batonopc cannot be fetched from {source}; set PYGNC_PEERS to a folder with a clone of it")
    for name, text in (("paramiko", ""), ("scp", "SCPClient = None\n")):  # imported, but not used after the change
        (folder / f"{name}.py").write_text(text)
    return folder


def _git(*arguments: str) -> None:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    subprocess.run([_GIT, *arguments], check=True, capture_output=True, timeout=TIMEOUT_S, env=environment)


def _run(folder: Path, *program: str, text: str = "") -> str:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"NO_PROXY": "127.0.0.1", "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *program],
        cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _change(path: Path, old: str | re.Pattern[str], new: str) -> None:
    pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
    text, count = pattern.subn(lambda _: new, path.read_text())
    assert count == 1, path
    path.write_text(text)


def _prepare(code: Path, there: Running) -> None:
    """Change and configure batonopc as our documentation describes."""
    (method,) = _METHOD.findall((ROOT / "docs" / "station.md").read_text() + "\n    def ")
    _change(code / "tinycloud" / "tinycloud.py", _METHOD, method.split("```")[0])
    _change(code / "tinycloud" / "register.py", "https://tinycloud.purit.ie", there.url)
    settings = yaml.safe_load((code / "example_settings.yaml").read_text())
    settings |= {"API": f"{there.url}/api/v1", "DBNAME": "readings.db", "GADGET_ID": "OPC_7"}
    settings |= {"BATCH_DBNAME": "readings.db", "BATCH_TABLE": "Batches"}
    settings |= {"BATCH_DIR_PENDING": "pending", "BATCH_DIR_UPLOADED": "uploaded"}
    (code / "settings.yaml").write_text(yaml.safe_dump(settings))


def test_batonopc_registers_and_uploads_with_the_documented_changes(code: Path, tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        _prepare(code, there)
        pin = new_pin(there.store, clock_ms(), 5)
        assert "activated" in _run(code, "tinycloud/register.py", text=f"{pin}\n")
        values = dict.fromkeys(COLUMNS, 1.5)
        writing = f"source = DataSource(settings_file='settings.yaml'); source.write_reading('OPC_7', **{values})"
        _run(code, "-c", f"from tinycloud.tinycloud import DataSource; {writing}")
        _run(code, "make_batch.py")
        assert "processed" in _run(code, "pi_to_cloud.py")
        assert len(list((code / "uploaded").glob("*.zip"))) == 1
        assert not list((code / "pending").glob("*.zip"))
        headers = {"authorization": "HTTP_BAT_API_KEY any"}  # as docs/api.md there; this server is open
        (reading,) = httpx.get(f"{there.url}/api/v1/reading/?gadget_id=OPC_7", headers=headers).json()
        assert (reading["gadget_id"], reading["pm_25"], reading["bin_0"]) == ("OPC_7", 1.5, 1.5)
