"""Campaigns on real worker processes: results do not depend on the workers, nor on those that are lost."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dask.utils import tmpfile
from distributed import Client

from pygnc_ground.campaign.cluster import Cluster, ClusterError, local_cluster, remote_cluster
from pygnc_ground.campaign.definition import Campaign, count_runs, plan_run
from pygnc_ground.campaign.run import RunResult
from pygnc_ground.campaign.store import Store
from tests.pygnc_ground.campaign.samples import short_campaign

# One worker makes the fixtures of this module.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("cluster")]

KILLS = int(os.environ.get("PYGNC_CAMPAIGN_KILLS", "2"))
"""Campaigns in which a worker is killed."""


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return short_campaign(repetitions=12, random={"scenario.gps.position_noise_m": {"uniform": [1.0, 10.0]}})


def compute(cluster: Cluster, campaign: Campaign, folder: Path) -> bytes:
    with Store(folder, campaign) as store:
        missing = [run for run in range(count_runs(campaign)) if run not in store.finished]
        cluster.compute((plan_run(campaign, run) for run in missing), store.add)
        store.merge()
    return b"".join((folder / f"{name}.parquet").read_bytes() for name in ("runs", "bins"))


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
        victim = draw.choice(workers_of(cluster))
        killer = threading.Timer(draw.uniform(0.5, 6.0), os.kill, (victim, signal.SIGKILL))
        killer.start()
        found = compute(cluster, campaign, tmp_path / "c")
        killer.join()
    assert found == expected


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
def dask_scheduler() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with tmpfile("json") as name:
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", name)
        with program("scheduler", *options) as process:
            while not Path(name).exists() or not Path(name).stat().st_size:
                time.sleep(0.05)
            with Client(scheduler_file=name, set_as_default=False) as client:
                address = client.scheduler_info()["address"]
            yield address, process


@contextmanager
def dask_worker(address: str, **environment: str) -> Iterator[None]:
    options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
    with program("worker", address, *options, **environment), Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60.0)
        yield


def test_a_cluster_gives_the_same_results(campaign: Campaign, expected: bytes, tmp_path: Path) -> None:
    with dask_scheduler() as (address, _), dask_worker(address), remote_cluster(address) as cluster:
        assert compute(cluster, campaign, tmp_path / "c") == expected


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

            cluster.compute((plan_run(campaign, run) for run in range(count_runs(campaign))), deliver)

    with pytest.raises(ClusterError, match="scheduler is lost"):
        compute_until_lost()
    with Store(tmp_path / "c", campaign) as store:
        assert store.finished == {*finished}
    with local_cluster(1) as cluster:
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
    with dask_scheduler() as (address, _), pytest.raises(ClusterError, match="no worker"), remote_cluster(address):
        pass


def test_a_timeout_of_dask_names_the_lost_scheduler() -> None:
    class LostClient:
        def nthreads(self) -> dict[str, int]:
            raise TimeoutError("Timed out trying to connect")

    with pytest.raises(ClusterError, match="scheduler is lost"):
        Cluster(LostClient(), "").threads()  # type: ignore[arg-type]
