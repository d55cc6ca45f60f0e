"""Seals of tasks: a change of any bit is noticed, and what may change during a wait is not part of them."""

import _thread
import ctypes
import operator
import random
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from opcode import opmap
from pathlib import Path
from threading import Event, Thread
from types import CodeType, SimpleNamespace
from typing import Final, NamedTuple, cast

import msgspec
import numpy as np
import pytest
import zmq

from pygnc.bus import control
from pygnc.bus.journal_files import _DiskSync
from pygnc.environment import gravity
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.environment import EnvironmentModel
from pygnc.supervisor.process import STATE_CHANGED, TaskSpec
from pygnc.tasks import runtime, seal
from pygnc.tasks.instructions import Instructions
from pygnc.tasks.runtime import Task, run_task
from pygnc.tasks.seal import Seal, StateChangedError
from tests.faults.bit_flips import fields, flip_field
from tests.pygnc.tasks.runs import run_in


class Memory(msgspec.Struct):
    mean_m: float
    counts: dict[str, int]


@dataclass
class State:
    memory: Memory
    covariance: np.ndarray
    waiting: deque[tuple[int, str]]


def state() -> State:
    return State(Memory(1.5, {"used": 3}), np.eye(3), deque([(1, "fix")]))


State.__module__ = Memory.__module__ = "pygnc.test"  # a seal covers objects of the project


def ignore(_: object) -> None: ...


def test_any_flipped_bit_is_noticed() -> None:
    for seed in range(60):
        sealed, dice = state(), random.Random(seed)  # noqa: S311 - repeatable
        guard = Seal(sealed)
        guard.close()
        guard.verify()
        flip_field(dice.choice([*fields(sealed, "state", ignore, set())]), dice)
        with pytest.raises(StateChangedError):
            guard.verify()


def test_a_tracker_can_be_sealed_and_each_of_its_fields_is_noticed(tmp_path: Path) -> None:
    model = EnvironmentModel(run_in(tmp_path).earth_orientation, None)
    tracker, dice = AttitudeTracker(AttitudeSettings(), model), random.Random(1)  # noqa: S311 - repeatable
    own = [
        field
        for field in fields(tracker, "tracker", ignore, set())
        if "._model" not in field.path and not isinstance(field.value, str)
    ]
    for field in dice.sample(own, 40):
        guard = Seal(tracker)
        guard.close()
        guard.verify()
        flip_field(field, dice)
        with pytest.raises(StateChangedError):
            guard.verify()
        seal.MODULES.restore()  # the number of a field may be that of a constant


def test_a_cached_result_is_part_of_the_seal() -> None:
    doubled: Callable[[float], np.ndarray] = lru_cache(maxsize=4)(lambda x: np.full(2, x))
    kept = doubled(1.0)
    guard = Seal([doubled])
    guard.close()
    kept[1] = 1.5
    with pytest.raises(StateChangedError):
        guard.verify()


def test_threads_and_functions_with_a_state_of_their_own_are_not_part_of_the_seal() -> None:
    flag, guard = Event(), Seal([thread := Thread(), partial(print, 1), lambda: flag])
    guard.close()
    flag.set()
    thread.name = "other"
    guard.verify()


def test_the_error_of_a_sync_in_the_background_is_not_part_of_the_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: None)
    sync = _DiskSync(1_000_000, [])
    guard = Seal([sync])
    guard.close()
    with pytest.raises(OSError, match="descriptor"):
        sync.finish()
    guard.verify()


def test_a_changed_table_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class MainField:
        coefficients: np.ndarray

    monkeypatch.setattr(seal, "TABLES_INTERVAL_S", 0.0)
    table = MainField(np.ones(5))
    MainField.__module__ = "pygnc.test"
    guard = Seal([table])
    guard.close()
    guard.close()
    table.coefficients[3] = np.nextafter(1.0, 2.0)
    guard.verify()
    with pytest.raises(StateChangedError, match="MainField"):
        guard.close()


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        ("run.settings.logs", "ceiling_bytes", 5),
        ("run.settings.attitude.gyro", "noise_rad_s", 1.0),
        ("run", "number", 2),
    ],
)
@pytest.mark.parametrize("moment", ["wait", "work"])
def test_a_changed_constant_of_the_run_is_noticed(
    tmp_path: Path, owner: str, name: str, value: float, moment: str
) -> None:
    run = run_in(tmp_path)
    guard = Seal([], run.constants)
    if moment == "wait":
        guard.close()
    object.__setattr__(operator.attrgetter(owner)(SimpleNamespace(run=run)), name, value)
    if moment == "work":
        guard.close()
    with pytest.raises(StateChangedError, match="constant"):
        guard.verify()


def test_a_changed_gravity_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "TABLES_INTERVAL_S", 0.0)
    guard = Seal([], known_answers=[gravity.gravity_by_all_coefficients])
    guard.close()
    monkeypatch.setattr(gravity, "EARTH_RADIUS_M", 1.000001 * gravity.EARTH_RADIUS_M)
    with pytest.raises(StateChangedError, match="gravity"):
        guard.close()


def test_a_gravity_that_changed_before_the_task_was_forked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "MODULES", seal.Modules())
    seal.MODULES.note_answer(gravity.gravity_by_all_coefficients)
    monkeypatch.setattr(gravity, "EARTH_RADIUS_M", 1.000001 * gravity.EARTH_RADIUS_M)
    guard = Seal([], known_answers=[gravity.gravity_by_all_coefficients])
    with pytest.raises(StateChangedError, match="gravity"):
        guard.close()


class Waits(Task):
    """Task whose state changes while its loop waits."""

    changes = 0

    def work(self) -> bool:
        return False

    def progress(self) -> control.Progress:
        return control.Progress(counts={"used": 3})


Waits.__module__ = "pygnc.test"


@pytest.mark.parametrize("what", ["changes", "progress"])
def test_a_task_whose_state_changes_while_it_waits_ends_with_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    class Poller(zmq.Poller):
        def poll(self, timeout: int | None = None) -> list[tuple[object, int]]:
            task = loops[0]._task
            assert isinstance(task, Waits)
            if what == "changes":
                task.changes += 1
            elif timeout:
                cast("dict[str, object]", loops[0]._progress.counts)["used"] = 4
                control.send(ours, control.Ping(1))
            return super().poll(timeout)

    loops: list[runtime.TaskLoop] = []
    ours, theirs = control.make_pair()
    spec = TaskSpec("status", "", "StatusTask", (), (), 1)
    monkeypatch.setattr("pygnc.tasks.status.task.StatusTask", Waits)
    monkeypatch.setattr(zmq, "Poller", Poller)
    monkeypatch.setattr(Waits, "wait_s", lambda _: 0.0 if what == "changes" else 60.0)
    begin = runtime.TaskLoop.run

    def run(loop: runtime.TaskLoop) -> None:
        loops.append(loop)
        begin(loop)

    monkeypatch.setattr(runtime.TaskLoop, "run", run)
    constants = run_in(tmp_path)
    with ours, theirs:
        assert run_task(spec, constants, theirs, zlib.crc32(constants.constants())) == STATE_CHANGED
        sent = [m for _ in range(4) if (m := control.receive_from_task(ours)) is not None]
    loops[0]._context.destroy(linger=0)
    assert [m.name for m in sent if isinstance(m, control.Notice)] == ["state_changed"]
    assert not [m for m in sent if isinstance(m, control.Pong) and m.progress.counts != {"used": 3}]


def test_a_task_does_not_start_with_settings_that_have_changed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    before = zlib.crc32(run.constants())
    object.__setattr__(run.settings.logs, "reserve_bytes", 1)
    ours, theirs = control.make_pair()
    with ours, theirs:
        assert run_task(TaskSpec("status", "", "StatusTask", (), (), 1), run, theirs, before) == STATE_CHANGED
        notice = control.receive_from_task(ours)
    assert isinstance(notice, control.Notice)
    assert notice.name == "state_changed"


SPEED: Final = 7654.321
NAMES: Final = {"a": (4.5, 70_000)}
TABLE: Final = np.arange(5.0)


def doubled(value: float) -> float:
    return 2.75 * value


def flip(value: object, offset: int) -> None:
    ctypes.c_uint8.from_address(id(value) + offset).value ^= 8


def test_a_flipped_bit_in_a_number_of_a_module_is_restored_from_the_copy() -> None:
    numbers = seal.Constants([__name__])
    assert not numbers.restore()
    consts = next(value for value in doubled.__code__.co_consts if isinstance(value, float))
    for value, offset in ((SPEED, 20), (NAMES["a"][0], 21), (NAMES["a"][1], 25), (consts, 22)):
        flip(value, offset)
        assert numbers.restore()
        assert not numbers.restore()
    TABLE[3] = 8.0
    assert numbers.restore()
    assert (SPEED, NAMES["a"], TABLE[3], doubled(1.0)) == (7654.321, (4.5, 70_000), 3.0, 2.75)


class Limit(NamedTuple):
    most_m: float


@dataclass(frozen=True, slots=True)
class Model:
    step_ms: int
    limits: tuple[Limit, ...]


class Row(msgspec.Struct, frozen=True):
    scale: float


Limit.__module__ = Model.__module__ = Row.__module__ = "pygnc.test"
MODELS: Final = [Model(60_000, (Limit(3.5),)), Row(0.125), slice(70_001, None)]


def test_a_flipped_bit_in_a_constant_object_is_restored_from_the_copy() -> None:
    numbers, before = seal.Constants([__name__]), repr(MODELS)
    model, row, part = cast("tuple[Model, Row, slice]", MODELS)
    for value, offset in ((model.step_ms, 25), (model.limits[0].most_m, 20), (row.scale, 20), (part.start, 25)):
        flip(value, offset)
        assert numbers.restore()
        assert not numbers.restore()
    assert repr(MODELS) == before


WORDS: Final = {"fixes accepted": b"used"}


def named(value: dict[str, int]) -> int:
    return value.get("samples used", 0)


@pytest.mark.parametrize("offset", [16, 28, sys.getsizeof("") + 3])
def test_a_flipped_bit_in_a_text_of_a_module_is_restored_from_the_copy(offset: int) -> None:
    constants = seal.Constants([__name__])
    consts = next(value for value in named.__code__.co_consts if isinstance(value, str))
    names = next(name for name in named.__code__.co_names if name == "get")
    place = bytes.__basicsize__ - 1
    for value, at in ((consts, offset), (next(iter(WORDS)), offset), (names, offset), (WORDS["fixes accepted"], place)):
        flip(value, min(at, sys.getsizeof(value) - 2))
        assert constants.restore()
        assert not constants.restore()
    assert (WORDS, named({"samples used": 3})) == ({"fixes accepted": b"used"}, 3)


def test_objects_of_earlier_modules_are_left_out() -> None:
    others = seal.Constants([__name__])
    numbers = seal.Constants([__name__], (others,))
    assert id(NAMES) in others.searched
    assert id(NAMES) not in numbers.searched
    flip(NAMES["a"][0], 21)
    assert not numbers.restore()
    assert others.restore()


def test_a_changed_copy_changes_no_number() -> None:
    numbers = seal.Constants([__name__])
    numbers._copy = bytes([numbers._copy[0] ^ 1]) + numbers._copy[1:]
    assert not numbers.restore()
    TABLE[3] = 8.0
    assert not numbers.restore()
    TABLE[3] = 3.0


def test_a_changed_instruction_is_restored_with_everything() -> None:
    modules = seal.Modules()
    modules._instructions = [Instructions(seal.Constants([__name__]).codes)]
    place = next(k for k in range(0, 100, 2) if doubled.__code__.co_code[k] == opmap["LOAD_CONST"])
    flip(doubled.__code__, CodeType.__basicsize__ + place + 1)
    assert not modules.restore()
    assert not modules.are_old
    assert modules.restore(everything=True)
    assert not modules.restore(everything=True)
    assert doubled(1.0) == 2.75


def test_a_changed_instruction_ends_a_process_without_second_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "TABLES_INTERVAL_S", 0.0)
    monkeypatch.setattr(seal, "MODULES", modules := seal.Modules())
    guard = Seal([])
    modules._instructions = [Instructions(seal.Constants([__name__]).codes)]
    place = next(k for k in range(0, 100, 2) if doubled.__code__.co_code[k] == opmap["LOAD_CONST"])
    flip(doubled.__code__, CodeType.__basicsize__ + place + 1)
    guard.close()  # not due yet
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + seal.CODE_INTERVAL_S)
    with pytest.raises(StateChangedError, match="constant or an instruction"):
        guard.close()
    guard.close()
    assert doubled(1.0) == 2.75


def test_a_changed_constant_of_a_module_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "TABLES_INTERVAL_S", 0.0)
    monkeypatch.setattr(seal, "MODULES", modules := seal.Modules())
    guard = Seal([])
    modules._constants = [seal.Constants([__name__])]
    guard.close()
    flip(SPEED, 20)
    with pytest.raises(StateChangedError, match="constant or an instruction"):
        guard.close()
    guard.close()
    assert SPEED == 7654.321
