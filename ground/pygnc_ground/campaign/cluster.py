"""Runs of a campaign on a Dask cluster: worker processes of this computer, or a cluster that is running already."""

import gc
import logging
import platform
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import dask
import msgspec
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

import pygnc
from pygnc_ground.campaign.definition import RunPlan
from pygnc_ground.campaign.run import RunResult, failed_row, run_one

LOOPBACK: Final = "127.0.0.1"
_CONNECT_S: Final = 10.0
WAIT_S: Final = 20.0
"""Time to wait for a worker if there is none."""
_POLL_S: Final = 0.02
_CHECK_S: Final = 2.0
"""Time without results after which the workers are counted."""
_LOST: Final = "the connection to the scheduler is lost; start it and repeat the command"
_AHEAD: Final = 3
"""Runs per thread that are submitted ahead; they bound the memory of scheduler and client."""
_ALLOCATOR: Final = {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
"""Freed bytes that a worker keeps for its next run. By default, Dask returns nearly all of them to the system at once;
allocating them again takes 6 % of the time of a run.
"""
_INTERRUPTIONS: Final = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "200ms"}
"""Settings that reduce the sampling of a worker's stack and event loop. Dask's defaults, every 10 and 20 ms, take 4 %
of the time of a run. The dashboard's page with profiles is therefore empty.
"""
_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit", "brahe")


class ClusterError(Exception):
    """Error raised when the cluster cannot compute the runs; the message names the remedy."""


def versions() -> dict[str, str]:
    """Return the versions on which the figures of a run depend."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"PyGNC": pygnc.__version__, "Python": python, **{name: version(name) for name in _LIBRARIES}}


def task(plan: bytes, expected: dict[str, str]) -> tuple[str, RunResult]:
    """Compute a run on a worker; return the address of the worker and the result.

    Raises:
        ClusterError: The versions of the worker differ.
    """
    worker = get_worker().address
    require_versions(worker, versions(), expected)
    # Cyclic garbage, of which a run leaves hardly any, is collected between runs; this saves 4 % of the time of a run.
    _exempt_libraries_from_collection()
    gc.disable()
    try:
        return worker, run_one(msgspec.json.decode(plan, type=RunPlan))
    finally:
        gc.enable()


@cache
def _exempt_libraries_from_collection() -> None:
    gc.collect()
    gc.freeze()


def require_versions(worker: str, found: dict[str, str], expected: dict[str, str]) -> None:
    """Check the versions of a worker.

    Raises:
        ClusterError: A version differs.
    """
    for name, ours in expected.items():
        if found.get(name) != ours:
            raise ClusterError(
                f"worker {worker} has {name} {found.get(name)}, and this computer {ours}; results would depend on the"
                " worker: install the same versions on both"
            )


class Cluster:
    """Connection to the workers of a campaign."""

    def __init__(
        self,
        client: Client,
        dashboard: str,
        wait_s: float = WAIT_S,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.client = client
        """Connection to Dask's scheduler."""
        self.dashboard = dashboard
        """Address of Dask's dashboard."""
        self._wait_s = wait_s
        self._notify = notify

    def threads(self) -> int:
        """Return the number of runs that the workers can compute at the same time."""
        try:
            return sum(self.client.nthreads().values())
        except OSError as error:  # also while the client tries to connect again
            raise ClusterError(_LOST) from error

    def compute(self, plans: Iterator[RunPlan], deliver: Callable[[RunResult, str], None]) -> None:
        """Compute all runs and deliver each result when it arrives, with the address of its worker.

        A run whose worker is lost is computed again by another one. A run that loses several workers is delivered as
        failed.

        Raises:
            ClusterError: The scheduler or all workers are gone, or a worker has other versions.
        """
        expected, waiting = versions(), as_completed(loop=self.client.loop)
        submitted: dict[Future[tuple[str, RunResult]], RunPlan] = {}

        def submit(count: int) -> None:
            for _, plan in zip(range(count), plans, strict=False):
                content = msgspec.json.encode(plan)
                future = self.client.submit(task, content, expected, pure=False, key=f"run-{plan.run}")
                submitted[future] = plan
                waiting.add(future)

        try:
            submit(_AHEAD * max(self.threads(), 1))
            for future in self._completed(waiting):
                plan = submitted.pop(future)
                deliver(*_outcome(future, plan))
                future.release()
                submit(max(_AHEAD * self.threads() - len(submitted), 1))
        except (CommClosedError, FutureCancelledError) as error:
            raise ClusterError(_LOST) from error

    def _completed(self, waiting: "as_completed") -> Iterator[Future[tuple[str, RunResult]]]:
        """Yield futures when they are completed; while none is, check that there are workers."""
        checked_s = time.monotonic()
        while not waiting.is_empty():
            if waiting.has_ready():
                yield next(waiting)
                checked_s = time.monotonic()
            elif time.monotonic() - checked_s < _CHECK_S:
                time.sleep(_POLL_S)
            else:
                self.require_worker()
                checked_s = time.monotonic()

    def require_worker(self) -> None:
        """Wait for a worker if there is none.

        Raises:
            ClusterError: There is still none after the time to wait, or the scheduler is gone.
        """
        if self.threads():
            return
        began_s = time.monotonic()
        if self._wait_s:
            self._notify(f"the scheduler has no worker; waiting {self._wait_s:g} s for one")
        while not self.threads():
            if time.monotonic() - began_s >= self._wait_s:
                address = self.client.scheduler_info()["address"]
                raise ClusterError(
                    f"{address}: the scheduler has no worker; start some by `dask worker {address}`, or wait longer for"
                    " them with --wait"
                )
            time.sleep(min(1.0, self._wait_s))


def _outcome(future: Future[tuple[str, RunResult]], plan: RunPlan) -> tuple[RunResult, str]:
    try:
        worker, result = future.result()
    except KilledWorker as error:
        times = error.allowed_failures + 1
        reason = f"KilledWorker: its worker died {times} times; see the memory and the log of the workers"
        return RunResult(failed_row(plan, reason, str(error)), [], 0.0, 0.0), error.last_worker.address
    return result, worker


class _IgnoreInterrupts(WorkerPlugin):
    """Leaves Ctrl-C, which a terminal sends to all processes, to the process that started the workers."""

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's interface
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def local_cluster(workers: int) -> Iterator[Cluster]:
    """Start worker processes on this computer.

    Scheduler and workers listen on loopback only and accept connections with the TLS key of this campaign only, because
    whoever can reach a Dask scheduler can run code. The dashboard answers pages of its own origin only.
    """
    port = _free_port()
    origins = [f"{host}:{port}" for host in (LOOPBACK, "localhost")]
    configuration = {
        "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin": origins,
        "distributed.scheduler.http.routes": ["distributed.http.health", "distributed.http.statics"],
        "distributed.worker.http.routes": [],
        **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in _ALLOCATOR.items()},
        **_INTERRUPTIONS,
        # Lost workers and failed runs are reported by this program; Dask would print tracebacks of closed connections.
        "logging.distributed": "critical",
    }
    with (
        dask.config.set(configuration),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host=LOOPBACK,
            security=True,
            dashboard_address=f"{LOOPBACK}:{port}",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(_IgnoreInterrupts())
        yield Cluster(client, f"http://{LOOPBACK}:{port}/status")


@contextmanager
def remote_cluster(
    scheduler: str | Path, wait_s: float = WAIT_S, notify: Callable[[str], None] = lambda _: None
) -> Iterator[Cluster]:
    """Connect to the scheduler of a running cluster, by its address such as tcp://10.0.0.5:8786 or its scheduler file.

    If there is no worker, at the start or later, wait for one and say so by `notify`. The keys for tls:// are those of
    Dask's configuration.

    Raises:
        ClusterError: No scheduler answers or has written the file, there is no worker, or a worker has other versions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # differences of versions are errors of our own
        try:
            if isinstance(scheduler, Path):
                client = Client(scheduler_file=_written(scheduler, wait_s), timeout=_CONNECT_S, set_as_default=False)
            else:
                client = Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"{scheduler}: no Dask scheduler answers; start one by `dask scheduler`, or leave out --scheduler"
            ) from error
        except (ValueError, TypeError, RuntimeError) as error:
            raise ClusterError(
                f"{scheduler}: not the address of a scheduler such as tcp://10.0.0.5:8786, or its keys are missing in"
                f" Dask's configuration: {error}"
            ) from error
    with client:
        cluster = Cluster(client, client.dashboard_link, wait_s, notify)
        cluster.require_worker()
        found = client.run(versions, on_error="return")
        for worker, of_worker in found.items():
            if isinstance(of_worker, Exception):
                raise ClusterError(
                    f"worker {worker} cannot run campaigns ({type(of_worker).__name__}: {of_worker}); install"
                    f" pygnc-ground[campaign] {pygnc.__version__} there"
                )
            require_versions(worker, of_worker, versions())
        yield cluster


def _written(scheduler_file: Path, wait_s: float) -> str:
    """Return the name of a scheduler file when its scheduler has written it, for which Dask would wait for ever."""
    began_s = time.monotonic()
    while not scheduler_file.exists():
        if time.monotonic() - began_s >= wait_s:
            raise ClusterError(
                f"{scheduler_file}: the file does not exist; start the scheduler by `dask scheduler --scheduler-file"
                f" {scheduler_file}`"
            )
        time.sleep(min(0.2, wait_s))
    return str(scheduler_file)


def _free_port() -> int:
    """Return a port for the dashboard; with a fixed one, campaigns that start at the same time would collide."""
    with socket.socket() as candidate:
        candidate.bind((LOOPBACK, 0))
        return int(candidate.getsockname()[1])
