"""Attitude of a replay in a process of its own, as in flight, while this one estimates orbit and formation.

The attitude takes half of the computing time of a replay. Its stage needs only the inputs and the messages of the
orbit, so a second process gives the same results. It is a plain child with two pipes: those of `multiprocessing` import
the main module of this process again, which for a script without a guard against that begins everything anew.
"""

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from functools import cached_property
from queue import Queue
from threading import Thread
from typing import Any, BinaryIO, Final, cast

from pygnc.bus.messages import AttitudeEstimate, Message, OrbitMessage
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.navigation.pipeline import AttitudeRecord
from pygnc_ground.replay.attitude_run import AttitudeFound, AttitudeRun, collector_paused
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.truth.attitude_truth import AttitudeTruth

_CHUNK: Final = 256
"""Inputs or estimates that are sent together; all at once would be in memory twice more."""
_WAITING: Final = 100
"""Chunks of inputs that may wait for the process: a few megabytes."""
_PROGRAM: Final = "from pygnc_ground.replay.attitude_process import serve; serve()"
_NEW_GROUP: Final[dict[str, Any]] = (
    {"creationflags": 0x200} if sys.platform == "win32" else {"process_group": 0}  # CREATE_NEW_PROCESS_GROUP
)
"""Ctrl-C reaches this process only, which ends the other one."""


class AttitudeProcess:
    """Process with the interface of `AttitudeRun`, which estimates while this process does other work.

    It keeps no records.
    """

    records: Final[list[AttitudeRecord]] = []

    def __init__(self, settings: Settings, orientation: EarthOrientationTable, truth: AttitudeTruth | None) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            **_NEW_GROUP,
        )
        self._waiting: Queue[bytes | None] = Queue(_WAITING)
        self._writer = Thread(target=self._write, name="inputs of the attitude", daemon=True)
        self._writer.start()
        self._send((settings, orientation, truth))
        self._inputs: list[tuple[Message, list[OrbitMessage]]] = []

    def take(self, message: Message, orbits: list[OrbitMessage]) -> None:
        """Pass on an input and the orbit tracker's response to it."""
        self._inputs.append((message, orbits))
        if len(self._inputs) == _CHUNK:
            self._send(self._inputs)
            self._inputs = []

    def end(self) -> None:
        """Let the process compute the results of all samples."""
        self._send(self._inputs)
        self._send(None)
        self._waiting.put(None)

    @cached_property
    def found(self) -> AttitudeFound:
        """Results of `AttitudeRun`, awaited after `end`.

        Raises:
            ReplayError: The process ended, for lack of memory for instance.
        """
        estimates: list[AttitudeEstimate] = []
        pipe = cast("BinaryIO", self._process.stdout)
        try:
            while isinstance(found := pickle.load(pipe), list):  # noqa: S301 - our own process wrote it
                estimates += found
        except (EOFError, pickle.UnpicklingError):
            code = self._process.wait()
            raise ReplayError(
                f"the process of the attitude ended with exit code {code}; there may be too little memory"
            ) from None
        if isinstance(found, Exception):
            raise found
        return AttitudeFound(estimates, found)

    def close(self) -> None:
        """End the process, even if it still computes."""
        with self._process:
            self._process.kill()
            self._waiting.put(None)
            self._writer.join()

    def _send(self, value: object) -> None:
        self._waiting.put(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def _write(self) -> None:
        """Write what waits, in a thread of its own, because a full pipe holds up its writer."""
        chunks = iter(self._waiting.get, None)
        with suppress(OSError), cast("BinaryIO", self._process.stdin) as pipe:  # `found` says that the process ended
            for chunk in chunks:
                pipe.write(chunk)
                pipe.flush()
        for _ in chunks:
            pass  # nobody may wait for an ended process


def serve() -> None:
    """Estimate the attitude from the inputs in the standard input; write the results to the standard output."""
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)  # nothing else may come between the results
        try:
            found = _found(sys.stdin.buffer)
        except EOFError:
            return  # the other process ended
        except Exception as error:  # noqa: BLE001 - the other process raises it
            pickle.dump(error, results)
            return
        for begin in range(0, len(found.estimates), _CHUNK):
            pickle.dump(found.estimates[begin : begin + _CHUNK], results, pickle.HIGHEST_PROTOCOL)
        pickle.dump(found.result, results, pickle.HIGHEST_PROTOCOL)


def _found(pipe: BinaryIO) -> AttitudeFound:
    with collector_paused():
        run = AttitudeRun(*pickle.load(pipe))  # noqa: S301 - our own process wrote it
        while (inputs := pickle.load(pipe)) is not None:  # noqa: S301
            for message, orbits in inputs:
                run.take(message, orbits)
        run.end()
        return run.found
