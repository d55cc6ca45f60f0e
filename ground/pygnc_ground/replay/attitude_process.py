"""Attitude of a replay in a process of its own, as in flight, while this one estimates orbit and formation.

The attitude takes half of the computing time of a replay. Its stage needs only the inputs and the messages of the
orbit, so a second process gives the same results.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from typing import Final, TypeAlias

from pygnc.bus.messages import Message, OrbitMessage
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.navigation.pipeline import AttitudeRecord
from pygnc_ground.replay.attitude_run import AttitudeRun, collector_paused
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.result import AttitudeResult
from pygnc_ground.truth.attitude_truth import AttitudeTruth

_CHUNK: Final = 256
"""Inputs or records that are sent together; all at once would be in memory twice more."""
_Inputs: TypeAlias = list[tuple[Message, list[OrbitMessage]]]


class AttitudeProcess:
    """Process with the interface of `AttitudeRun`, which estimates while this process does other work."""

    def __init__(self, settings: Settings, orientation: EarthOrientationTable, truth: AttitudeTruth | None) -> None:
        context = get_context("spawn")  # a fork would copy locks of threads, those of the progress bar for instance
        self._queue: Queue[_Inputs | None] = context.Queue()
        self._inputs: _Inputs = []
        self._results, results = Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(settings, orientation, truth, self._queue, results), daemon=True
        )
        with _interrupts_held():
            self._process.start()
        results.close()

    def take(self, message: Message, orbits: list[OrbitMessage]) -> None:
        """Pass on an input and the orbit tracker's response to it."""
        self._inputs.append((message, orbits))
        if len(self._inputs) == _CHUNK:
            self._queue.put(self._inputs)
            self._inputs = []

    def end(self) -> None:
        """Let the process compute the results of all samples."""
        self._queue.put(self._inputs)
        self._queue.put(None)

    @cached_property
    def found(self) -> tuple[list[AttitudeRecord], AttitudeResult]:
        """Records and results of `AttitudeRun`, awaited after `end`.

        Raises:
            ReplayError: The process ended, for lack of memory for instance.
        """
        records: list[AttitudeRecord] = []
        try:
            while isinstance(found := self._results.recv(), list):
                records += found
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            raise ReplayError(
                f"the process of the attitude ended with exit code {code}; there may be too little memory"
            ) from None
        if isinstance(found, Exception):
            raise found
        return records, found

    def close(self) -> None:
        """End the process, even if it still computes."""
        self._queue.cancel_join_thread()
        self._process.terminate()
        self._process.join()
        self._results.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C in this thread and, for good, in processes that it starts: Python's start prints a traceback."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    settings: Settings,
    orientation: EarthOrientationTable,
    truth: AttitudeTruth | None,
    queue: "Queue[_Inputs | None]",
    results: Connection,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the other process, which ends this one
    try:
        with collector_paused():
            run = AttitudeRun(settings, orientation, truth)
            while (inputs := queue.get()) is not None:
                for message, orbits in inputs:
                    run.take(message, orbits)
            run.end()
            records, result = run.found
            for begin in range(0, len(records), _CHUNK):
                results.send(records[begin : begin + _CHUNK])
            results.send(result)
    except Exception as error:  # noqa: BLE001 - the other process raises it
        results.send(error)
