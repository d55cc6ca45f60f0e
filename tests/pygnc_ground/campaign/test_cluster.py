"""Campaigns on real worker processes: results do not depend on the workers, nor on those that are lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import dask
import pytest
from dask.utils import tmpfile
from distributed import Client
from distributed.security import Security

from pygnc_ground.campaign.cluster import Cluster, ClusterError, local_cluster, remote_cluster
from pygnc_ground.campaign.definition import Campaign, count_runs, plans
from pygnc_ground.campaign.run import RunResult
from pygnc_ground.campaign.store import Store
from tests.pygnc_ground.campaign.samples import short_campaign

# One worker makes the fixtures of this module.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("cluster")]

KILLS = int(os.environ.get("PYGNC_CAMPAIGN_KILLS", "1"))
"""Campaigns in which both workers are killed."""


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return short_campaign(repetitions=12, random={"scenario.gps.position_noise_m": {"uniform": [1.0, 10.0]}})


def compute(cluster: Cluster, campaign: Campaign, folder: Path, after: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the merged results; `after` gets the number of results after each."""
    counts = count(1)
    with Store(folder, campaign) as store:

        def deliver(result: RunResult, worker: str) -> None:
            store.add(result, worker)
            after(next(counts))

        missing = [run for run in range(count_runs(campaign)) if run not in store.finished]
        cluster.compute(plans(campaign, missing), deliver)
        store.merge()
    return b"".join(path.read_bytes() for name in ("runs", "bins") for path in (folder / f"{name}.parquet").iterdir())


@pytest.fixture(scope="module")
def expected(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with local_cluster(1) as cluster:
        return compute(cluster, campaign, tmp_path_factory.mktemp("expected") / "c")


def workers_of(cluster: Cluster) -> list[int]:
    return [int(of_worker) for of_worker in cluster.client.run(os.getpid).values()]


@pytest.mark.parametrize("seed", range(KILLS))
def test_results_do_not_depend_on_workers_and_kills(
    campaign: Campaign, expected: bytes, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    with local_cluster(2) as cluster:
        # Both of the first workers are lost, so the last runs are computed by their successors.
        victims = dict(zip(draw.sample(range(1, 9), 2), workers_of(cluster), strict=True))

        def kill(results: int) -> None:
            if results in victims:
                os.kill(victims[results], signal.SIGKILL)

        assert compute(cluster, campaign, tmp_path / "c", kill) == expected
        assert not set(workers_of(cluster)) & set(victims.values())


def test_the_dashboard_and_the_scheduler_are_on_loopback_with_a_key() -> None:
    with local_cluster(1) as cluster:
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        address = cluster.client.scheduler_info()["address"]
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(ClusterError), remote_cluster(address.replace("tls", "tcp")):
            pass


@contextmanager
def program(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of Dask's command line; all of its processes end with it."""
    command = [sys.executable, "-m", "dask", *arguments]
    started = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(10.0)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


@contextmanager
def dask_scheduler(*keys: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with tmpfile("json") as name:
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", name)
        with program("scheduler", *options, *keys) as process:
            while not Path(name).exists() or not Path(name).stat().st_size:
                time.sleep(0.05)
            with Client(scheduler_file=name, set_as_default=False) as client:
                address = client.scheduler_info()["address"]
            yield address, process


@contextmanager
def dask_worker(address: str, *keys: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
    with (
        program("worker", address, *options, *keys, **environment) as process,
        Client(address, set_as_default=False) as client,
    ):
        client.wait_for_workers(1, timeout=60.0)
        yield process


def test_the_loss_of_the_scheduler_keeps_finished_runs(campaign: Campaign, expected: bytes, tmp_path: Path) -> None:
    finished: list[int] = []

    def compute_until_lost() -> None:
        with (
            dask_scheduler() as (address, process),
            dask_worker(address),
            remote_cluster(address) as cluster,
            Store(tmp_path / "c", campaign) as store,
        ):

            def deliver(result: RunResult, worker: str) -> None:
                store.add(result, worker)
                finished.append(result.row["run"])
                if len(finished) == 3:
                    process.kill()

            cluster.compute(plans(campaign, range(count_runs(campaign))), deliver)

    with pytest.raises(ClusterError, match="scheduler is lost"):
        compute_until_lost()
    with Store(tmp_path / "c", campaign) as store:
        assert store.finished == {*finished}
    with local_cluster(1) as cluster:
        assert compute(cluster, campaign, tmp_path / "c") == expected


def test_the_loss_of_all_workers_is_named(campaign: Campaign, tmp_path: Path) -> None:
    said: list[str] = []
    lost_s: list[float] = []

    def compute_until_lost() -> None:
        with (
            dask_scheduler() as (address, _),
            dask_worker(address) as process,
            remote_cluster(address, 1.0, said.append) as cluster,
            Store(tmp_path / "c", campaign) as store,
        ):

            def deliver(result: RunResult, worker: str) -> None:
                store.add(result, worker)
                if not lost_s:
                    lost_s.append(time.monotonic())
                    os.killpg(process.pid, signal.SIGKILL)

            cluster.compute(plans(campaign, range(count_runs(campaign))), deliver)

    with pytest.raises(ClusterError, match="has no worker"):
        compute_until_lost()
    assert time.monotonic() - lost_s[0] < 30.0
    assert said == ["the scheduler has no worker; waiting 1 s for one"]


def test_a_cluster_with_keys_is_named_by_its_file_and_waits_for_a_worker(
    campaign: Campaign, expected: bytes, tmp_path: Path
) -> None:
    security = Security.temporary()
    files = {name: tmp_path / f"{name}.pem" for name in ("ca_file", "client_cert", "client_key")}
    for name, path in files.items():
        path.write_text(getattr(security, f"tls_{name}"))
    options = {"--tls-ca-file": "ca_file", "--tls-cert": "client_cert", "--tls-key": "client_key"}
    keys = [word for option, name in options.items() for word in (option, str(files[name]))]
    of_client = {"ca-file": "ca_file", "client.cert": "client_cert", "client.key": "client_key"}
    configuration = {f"distributed.comm.tls.{key}": str(files[name]) for key, name in of_client.items()}
    with ExitStack() as started, dask.config.set(configuration):
        address, process = started.enter_context(dask_scheduler(*keys))
        assert address.startswith("tls://")
        with pytest.raises(ClusterError, match="does not exist"), remote_cluster(tmp_path / "none.json", 0.0):
            pass
        words = process.args
        assert isinstance(words, list)
        named = Path(words[words.index("--scheduler-file") + 1])

        def start_worker(_: str) -> None:
            started.enter_context(dask_worker(address, *keys))

        with remote_cluster(named, 60.0, start_worker) as cluster:
            assert compute(cluster, campaign, tmp_path / "c") == expected


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import pygnc_system\npygnc_system.__version__ = '0.0.1'\n")
    with (
        dask_scheduler() as (address, _),
        dask_worker(address, PYTHONPATH=str(tmp_path)),
        pytest.raises(ClusterError, match=r"PyGNC 0\.0\.1"),
        remote_cluster(address),
    ):
        pass


def test_a_cluster_without_scheduler_or_worker_is_refused() -> None:
    with pytest.raises(ClusterError, match="no Dask scheduler answers"), remote_cluster("tcp://127.0.0.1:1"):
        pass
    with pytest.raises(ClusterError, match="not the address"), remote_cluster("smoke://signals"):
        pass
    with dask_scheduler() as (address, _), pytest.raises(ClusterError, match="no worker"), remote_cluster(address, 0.0):
        pass


def test_a_timeout_of_dask_names_the_lost_scheduler() -> None:
    class LostClient:
        def nthreads(self) -> dict[str, int]:
            raise TimeoutError("Timed out trying to connect")

    with pytest.raises(ClusterError, match="scheduler is lost"):
        Cluster(LostClient(), "").threads()  # type: ignore[arg-type]
