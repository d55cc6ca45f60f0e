"""A task of the flight in a child process, fed with the inputs of a recorded run, with one flipped bit.

The process runs the flight's own loop (`pygnc.tasks.runtime`), with two differences: instead of waiting, the poller
delivers the next inputs and the state of the run, and the clocks of the spacecraft stand still. Where the flight would
wait is also where a bit is flipped. A process that ends with an error is started again, as the supervisor does.
"""

import gc
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import InputMessage
from pygnc.bus.streams import StreamWriter
from pygnc.common.clock import SpacecraftReading
from pygnc.configuration import run as run_module
from pygnc.configuration.data_files import load_earth_orientation
from pygnc.configuration.run import Run
from pygnc.configuration.settings import Settings
from pygnc.formats import status
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.formation import FormationTracker
from pygnc.navigation.orbit import OrbitTracker
from pygnc.outputs.status_values import STREAMS, NewestEstimates
from pygnc.tasks import checkpoints, runtime, second_look
from pygnc.tasks.runtime import TaskLoop, run_task
from pygnc.tasks.table import TASKS
from tests.faults.bit_flips import (
    choose,
    constants,
    fields,
    flip_constant,
    flip_field,
    flip_in_file,
    flip_instruction,
    ignore,
)

GROUP: Final = 24
"""Number of inputs that arrive at once."""
IDLE_POLLS: Final = 3
RESTARTS_MAX: Final = 4
REQUESTED: Final = 77
"""Exit code of a process that the harness ends."""
PATIENCE_S: Final = 1.0
"""Longest wait of a task for an orbit, s."""
LIMIT_S: Final = 30.0
"""Processor time after which a process counts as caught in a loop, s."""
STEPS: Final[dict[str, tuple[type[Any], str]]] = {
    "orbit": (OrbitTracker, "outcomes"),
    "attitude": (AttitudeTracker, "outcomes"),
    "formation": (FormationTracker, "process"),
    "status": (NewestEstimates, "take"),
}
"""Method of each task that processes one message: a bit is flipped within a step when it is called."""
RUN_STATE: Final = control.RunState(
    "batch", tuple(control.TaskState(spec.name, "up", 0, control.Progress()) for spec in TASKS), 0
)
"""State of the run, which the supervisor repeats twice a second."""
VOLATILE: Final = frozenset({"generation", "uptime_s", "events"})
"""Fields of the status that differ between two runs with the same results."""


class Flip(NamedTuple):
    """Flip of a bit when input `seq` has been delivered; of bit `bit` of the field with a path that ends with `name`.

    `where` is field, constant, instruction, step (a field, within a step), checkpoint, input or output (files, then a
    restart).
    """

    where: str
    seq: int
    dice: random.Random
    name: str = ""
    bit: int | None = None


class Flown(NamedTuple):
    """Result of a task: its messages by number, last prediction or status, final counters, and events."""

    messages: Mapping[object, bytes]
    last: object
    counts: dict[str, object]
    events: list[str]
    flipped: str = ""


@dataclass
class Recording:
    """Inputs and orbits of a run: payloads by stream, each with the number of the input after which it arrives."""

    streams: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Recording":
        """Read the journals of a run."""
        recording = cls()
        for name, kind in ({"input": InputMessage} | STREAMS).items():
            reader = JournalReader([folder], name)
            payloads = [record.payload for record in reader.read(1_000_000)]
            reader.close()
            messages = map(msgspec.msgpack.Decoder(kind).decode, payloads)
            recording.streams[name] = [
                (getattr(message, "last_input_seq", message.seq), payload)
                for message, payload in zip(messages, payloads, strict=True)
            ]
        return recording

    def until(self, last_seq: int) -> "Recording":
        """Return the part up to an input."""
        return Recording({name: [x for x in of_stream if x[0] <= last_seq] for name, of_stream in self.streams.items()})

    @property
    def last_seq(self) -> int:
        """Number of the last input."""
        return len(self.streams["input"])


class TaskBench:
    """Runs of one task with the inputs of a recording, in a folder."""

    def __init__(self, task: str, recording: Recording, folder: Path, settings: Settings, now_s: int) -> None:
        self.spec = next(spec for spec in TASKS if spec.name == task)
        self.recording = recording
        self._folder = folder
        self._reads = [name for name in self.spec.reads if name in recording.streams]
        self.home = folder / "home"
        orientation, _ = load_earth_orientation(folder)
        self._run = Run(
            home=self.home,
            folder=self.home / "run",
            runtime=self.home / "runtime",
            number=1,
            settings=settings,
            header=b"header",
            earth_orientation=orientation,
            start=SpacecraftReading(now_s, 0),
        )
        __import__(f"pygnc.tasks.{task}.task")
        self._snapshots: dict[int, Path] = {}
        self._reset(None)
        self.reference = self._fly(None, takes_snapshots=True)

    def fly(self, flip: Flip) -> Flown:
        """Run the task with one flipped bit, from the last snapshot before it."""
        self._reset(max((seq for seq in self._snapshots if seq < flip.seq), default=None))
        return self._fly(flip)

    def _reset(self, seq: int | None) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        if seq is None:
            self._run.folder.mkdir(parents=True)
            self._run.runtime.mkdir()
        else:
            shutil.copytree(self._snapshots[seq], self.home)

    def _fly(self, flip: Flip | None, *, takes_snapshots: bool = False) -> Flown:
        notes = self.home / "notes"
        notes.touch()
        for attempt in range(1 + RESTARTS_MAX):
            pid = os.fork()
            if pid == 0:
                code = 99
                try:
                    code = self._run_child(None if attempt else flip, notes, takes_snapshots=takes_snapshots)
                finally:
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code == 0:
                break
            if code == REQUESTED:
                continue
            with notes.open("a") as file:
                file.write(f"restart {code}\n" if attempt < RESTARTS_MAX else f"failed {code}\n")
        if takes_snapshots:
            self._snapshots = {int(path.name): path for path in (self._folder / "snapshots").glob("*")}
        return self._result(notes)

    def _result(self, notes: Path) -> Flown:
        lines = notes.read_text().splitlines()
        reader = JournalReader([self._run.folder, self._run.runtime], self.spec.name)
        messages: dict[object, bytes] = {record.seq: record.payload for record in reader.read(1_000_000)}
        reader.close()
        lines += [f"damaged record in {path.name}" for path, _ in reader.damage]
        ends = [line.removeprefix("end ") for line in lines if line.startswith("end ")]
        last, counts = msgspec.json.decode(ends[-1]) if ends else (None, {})
        if self.spec.name == "status" and (self.home / "pygnc_status.bin").exists():
            last = status.decode((self.home / "pygnc_status.bin").read_bytes())
            last = str({name: value for name, value in last.items() if name not in VOLATILE})
        flipped = next((line.removeprefix("flip ") for line in lines if line.startswith("flip ")), "")
        return Flown(messages, last, counts, [x for x in lines if not x.startswith(("end ", "flip "))], flipped)

    # --- In the child process ----------------------------------------------------------------------------------------

    def _run_child(self, flip: Flip | None, notes: Path, *, takes_snapshots: bool) -> int:
        # Garbage of earlier tests may wait for threads, which do not exist here, when it is collected.
        gc.freeze()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(LIMIT_S), int(LIMIT_S)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(int(3 * LIMIT_S))  # a wait that never ends
        ours, theirs = control.make_pair()
        child = _Child(self, flip, notes, ours, takes_snapshots=takes_snapshots)
        run_module.time = SimpleNamespace(monotonic_ns=lambda: 0, monotonic=time.monotonic)  # type: ignore[attr-defined,assignment]
        checkpoints.INTERVAL_S = 0.05  # type: ignore[misc]
        second_look.IDLE_S, second_look._NICE = 3600.0, 0  # type: ignore[misc]
        sys.modules[f"pygnc.tasks.{self.spec.name}.task"].ORBIT_PATIENCE_S = PATIENCE_S  # type: ignore[attr-defined]
        zmq.Poller = partial(_Poller, child)  # type: ignore[assignment,misc]
        runtime.TaskLoop = child.make_loop  # type: ignore[assignment,misc]
        StreamWriter.publish_transient = lambda _, message: child.note_transient(message)  # type: ignore[assignment,method-assign]
        if flip is not None and flip.where == "step":
            child.patch_step(*STEPS[self.spec.name])
        code = run_task(self.spec, self._run, theirs, zlib.crc32(self._run.constants()))
        child.drain()
        if code == 0:
            child.note("end " + msgspec.json.encode((child.last, child.counts)).decode())
        return code


class _Poller:
    """Stand-in for `zmq.Poller` that delivers inputs instead of waiting."""

    def __init__(self, child: "_Child") -> None:
        self._child = child

    def register(self, *_: object) -> None: ...

    def unregister(self, *_: object) -> None: ...

    def poll(self, timeout_ms: int) -> None:
        self._child.drain()
        if timeout_ms > 0:
            self._child.wait()


class _Child:
    """State of the harness in the task's process."""

    def __init__(
        self,
        bench: TaskBench,
        flip: Flip | None,
        notes: Path,
        ours: socket.socket,
        *,
        takes_snapshots: bool,
    ) -> None:
        self._bench, self._flip, self._notes, self._ours = bench, flip, notes, ours
        self._takes_snapshots = takes_snapshots
        run = bench._run
        self._feeds = {n: JournalWriter(run.folder, run.runtime, n, run.header) for n in bench._reads}
        self._idle = 0
        self._is_look_due = False
        self._fed_seq = self._feeds["input"].last_seq if "input" in self._feeds else 0
        self.last: str = ""
        self.counts: dict[str, object] = {}
        self._loop: TaskLoop | None = None

    def make_loop(self, *arguments: Any) -> TaskLoop:  # noqa: ANN401
        self._loop = loop = TaskLoop(*arguments)
        receive = loop._receive_control

        def receive_all(earlier: Sequence[control.FromSupervisor]) -> None:
            for reader in self._task._readers.values():
                reader.has_backlog = True
            if self._is_look_due:
                self._is_look_due = False
                loop._next_check_s = loop._seal._tables_due_s = 0.0
                if hasattr(self._task, "_second_look"):
                    self._task._second_look._due_s = 0.0
                elif hasattr(self._task, "_next_check_s"):
                    self._task._next_check_s = 0.0
            receive(earlier)

        loop._receive_control = receive_all  # type: ignore[method-assign]
        return loop

    @property
    def _task(self) -> Any:  # noqa: ANN401
        return self._loop._task  # type: ignore[union-attr]

    def note_transient(self, message: object) -> None:
        self.last = repr(message)

    def note(self, text: str) -> None:
        with self._notes.open("a") as file:
            file.write(text.replace("\n", " ") + "\n")

    def drain(self) -> None:
        """Take the messages to the supervisor."""
        while message := control.receive_from_task(self._ours):
            if isinstance(message, control.Pong):
                self.counts = dict(message.progress.counts)
            elif isinstance(message, control.Notice) and message.severity != "info":
                self.note(f"{message.name}: {message.text[:200]}")

    def wait(self) -> None:
        """Flip the bit if it is due, and deliver the next inputs; at the end, request the stop."""
        last_seq = self._bench.recording.last_seq
        if self._flip is not None and self._flip.where != "step" and self._fed_seq >= min(self._flip.seq, last_seq):
            flip, self._flip = self._flip, None
            self._apply(flip)
        if self._bench.spec.reports_run:
            control.send(self._ours, RUN_STATE)
        if self._fed_seq >= last_seq:
            look = getattr(self._task, "_second_look", None)
            if look is not None and look._pid:
                time.sleep(0.002)
                return
            if self._awaits_orbit:
                time.sleep(0.01)
                return
            self._idle += 1
            self._is_look_due = self._idle <= 2
            control.send(self._ours, control.Ping(self._idle))
            if self._idle > IDLE_POLLS:
                control.send(self._ours, control.Stop(5.0))
            return
        self._fed_seq = min(self._fed_seq + GROUP, last_seq)
        self._feed()
        if self._takes_snapshots and self._fed_seq // GROUP % 8 == 0:
            shutil.copytree(
                self._bench.home,
                self._bench._folder / "snapshots" / str(self._fed_seq),
                ignore=lambda _, names: [name for name in names if name.endswith(".sock")],
            )

    @property
    def _awaits_orbit(self) -> bool:
        """True while the task waits for an orbit; its patience ends, because the harness has delivered all orbits."""
        stage = getattr(self._task, "_stage", None)
        return stage is not None and stage.tracker.awaits_orbit

    def _feed(self) -> None:
        for name, journal in self._feeds.items():
            due = self._bench.recording.streams[name][journal.last_seq :]
            payloads = [payload for seq, payload in due if seq <= self._fed_seq]
            if payloads:
                journal.append(payloads)

    def _apply(self, flip: Flip) -> None:
        if flip.where == "field":
            self._flip_field(flip)
        elif flip.where == "instruction":
            self.note("flip " + flip_instruction(sys.modules, flip.dice))
        elif flip.where == "constant":
            self.note("flip " + flip_constant(choose(constants(sys.modules), flip.dice), flip.dice))
        else:
            run = self._bench._run
            names = {"checkpoint": "checkpoint*", "input": "input-*", "output": f"{self._bench.spec.name}-*"}
            files = sorted([*run.runtime.glob(f"*.{names[flip.where]}"), *run.folder.glob(names[flip.where])])
            if files:
                self.note("flip " + flip_in_file(flip.dice.choice(files), flip.dice))
            os._exit(REQUESTED)  # the restarted task uses the file

    def _flip_field(self, flip: Flip) -> None:
        found = [field for field in fields(self._task, "task", ignore, set()) if field.path.endswith(flip.name)]
        self.note("flip " + flip_field(choose(iter(found), flip.dice), flip.dice, flip.bit))

    def patch_step(self, kind: type[Any], name: str) -> None:
        """Flip a field when the method that processes a message is called for the first one after `seq`."""
        original = getattr(kind, name)

        def flipping(tracker: object, message: Any) -> object:  # noqa: ANN401
            seq = getattr(message, "seq", 0) if name != "take" else getattr(message, "last_input_seq", 0)
            if self._flip is not None and seq >= self._flip.seq:
                flip, self._flip = self._flip, None
                self._flip_field(flip)
            return original(tracker, message)

        setattr(kind, name, flipping)
