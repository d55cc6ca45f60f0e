"""The programs of docs/campaign.md for SLURM and Kubernetes, with smaller numbers, compute a campaign."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import polars as pl
import pytest

from tests.fakes.answering import wait_for_answer
from tests.package_index import skip_without_index, uv
from tests.pygnc_ground.campaign.samples import write_campaign
from tests.pygnc_instruments.device.azurite_server import free_port

ROOT = Path(__file__).resolve().parents[3]
SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
SMALL = {
    "cores=8, processes=8": "cores=1, processes=1",
    "jobs=20": "jobs=1",
    'pygnc:0.1.0", 20': 'pygnc:0.1.0", 1',
    "s3://bucket/noise": "noise",
}
"""Texts of the programs by their replacements for one worker on this computer."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.index,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif("CI" in os.environ, reason="too long for every commit"),
]


def program(heading: str) -> str:
    """Return the program below a heading of the page, for one worker."""
    _, _, below = (ROOT / "docs/campaign.md").read_text().partition(f"\n### {heading}\n")
    found = re.search(r"\n```python\n(.*?)```\n", below, re.DOTALL)
    assert found is not None
    text = found[1]
    for words, replacement in SMALL.items():
        text = text.replace(words, replacement)
    return text


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the libraries that the programs need besides ours."""
    folder = tmp_path_factory.mktemp("libraries")
    command = [uv(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    done = subprocess.run(
        [*command, "dask-jobqueue", "dask-kubernetes", "jsonschema"], capture_output=True, text=True, check=False
    )
    skip_without_index(done.stderr)
    assert done.returncode == 0, done.stderr
    return folder


def run(lines: str, libraries: Path, folder: Path, **variables: str) -> pl.DataFrame:
    """Run a program with the libraries that are installed here, and others; return the runs of its campaign."""
    write_campaign(folder / "noise.toml")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "flight"), str(ROOT / "ground"), str(folder)])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    begin = f"import sys; sys.path.append({str(libraries)!r})\n"
    command = [sys.executable, "-c", begin + lines]
    environment = os.environ | variables | {"PYTHONPATH": paths, "PATH": programs}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    jobs = "".join(path.read_text() for path in folder.glob("slurm-*.out"))
    assert done.returncode == 0, done.stdout + done.stderr + jobs
    return pl.read_parquet(folder / "noise/runs.parquet")


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[str]:
    """Start SLURM with this computer as its only node; yield the path of its configuration."""
    if missing := [name for name in SLURM if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge")
    folder = tmp_path / "slurm"
    folder.mkdir()
    ports = [free_port() for _ in range(2)]
    key, munge = folder / "key", folder / "munge"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    config = folder / "slurm.conf"
    config.write_text(f"""\
ClusterName=tests
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
AuthInfo=socket={munge}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PlugStackConfig=/dev/null
MailProg=/bin/true
NodeName=node NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 CPUs=2 RealMemory=100000
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
""")
    munged = ["--foreground", "--force", f"--socket={munge}", f"--key-file={key}", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"]
    commands = [
        ["munged", *munged],
        ["slurmctld", "-D", "-f", str(config), "-L", f"{folder}/slurmctld.log"],
        ["slurmd", "-D", "-N", "node", "-f", str(config), "-L", f"{folder}/slurmd.log"],
    ]
    environment = os.environ | {"SLURM_CONF": str(config)}
    with ExitStack() as started:
        started.callback(kill_programs_with, f"SLURM_CONF={config}")
        for command in commands:
            process = subprocess.Popen(command, env=environment)
            started.callback(process.wait, 20)
            started.callback(process.send_signal, signal.SIGTERM)
            if command[0] == "munged":
                wait_for_answer(process, "munged", munge.stat)
        listed = ["scontrol", "show", "node", "node"]
        wait_for_answer(process, "slurmd", lambda: require_idle(listed, environment), AssertionError)
        yield str(config)


def kill_programs_with(variable: str) -> None:
    """Kill the programs with an environment variable: those of jobs have sessions of their own, and outlive slurmd."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def require_idle(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "State=IDLE " in done.stdout, done.stdout + done.stderr


def test_slurm(slurm: str, libraries: Path, tmp_path: Path) -> None:
    runs = run(program("SLURM"), libraries, tmp_path, SLURM_CONF=slurm)
    assert runs["status"].to_list() == ["done", "done"]


def test_kubernetes(libraries: Path, tmp_path: Path) -> None:
    replace = "import dask_kubernetes.operator, tests.fakes.kube_cluster as fake\n"
    replace += "dask_kubernetes.operator.KubeCluster = fake.KubeCluster\n"
    runs = run(replace + program("Kubernetes"), libraries, tmp_path)
    assert runs["status"].to_list() == ["done", "done"]
