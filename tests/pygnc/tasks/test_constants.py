"""Constants in memory: a flipped bit in any of them is noticed, and those of modules are restored."""

import ctypes
import operator
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from pygnc.configuration.run import Run
from pygnc.configuration.settings import DeviceSettings, Settings
from pygnc.tasks import constants
from pygnc.tasks.constants import Numbers, RunConstants, StateChangedError
from tests.pygnc.tasks.runs import run_in

SPEED: Final = 7654.321
NAMES: Final = {"a": (4.5, 70_000)}
TABLE: Final = np.arange(5.0)


def doubled(value: float) -> float:
    return 2.75 * value


def flip(value: object, offset: int) -> None:
    ctypes.c_uint8.from_address(id(value) + offset).value ^= 8


def test_a_flipped_bit_in_a_number_of_a_module_is_restored_from_the_copy() -> None:
    numbers = Numbers([__name__])
    assert not numbers.restore()
    consts = next(value for value in doubled.__code__.co_consts if isinstance(value, float))
    for value, offset in ((SPEED, 20), (NAMES["a"][0], 21), (NAMES["a"][1], 25), (consts, 22)):
        flip(value, offset)
        assert numbers.restore()
        assert not numbers.restore()
    TABLE[3] = 8.0
    assert numbers.restore()
    assert (SPEED, NAMES["a"], TABLE[3], doubled(1.0)) == (7654.321, (4.5, 70_000), 3.0, 2.75)


def test_objects_of_earlier_modules_are_left_out() -> None:
    others = Numbers([__name__])
    numbers = Numbers([__name__], (others,))
    assert id(NAMES) in others.searched
    assert id(NAMES) not in numbers.searched
    flip(NAMES["a"][0], 21)
    assert not numbers.restore()
    assert others.restore()


def test_a_changed_copy_changes_no_number() -> None:
    numbers = Numbers([__name__])
    numbers._copy = bytes([numbers._copy[0] ^ 1]) + numbers._copy[1:]
    assert not numbers.restore()
    TABLE[3] = 8.0
    assert not numbers.restore()
    TABLE[3] = 3.0


@pytest.fixture(params=["read by the kernel", "read one by one"])
def _each_way_to_read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "read one by one":
        monkeypatch.setattr(constants, "_readv", lambda *_: -1)


@pytest.mark.usefixtures("_each_way_to_read")
@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (lambda run: run.settings.logs, "ceiling_bytes", 5),
        (lambda run: run.settings.attitude.gyro, "noise_rad_s", 1.0),
        (lambda run: run.settings.host, "port", "/dev/other"),
        (lambda run: run.settings.devices["imu"], "baud", 300),
        (lambda run: run, "number", 2),
        (lambda run: run, "home", Path("/other")),
        (lambda run: run, "header", b"another"),
        (lambda run: run, "start", (0, 1)),
    ],
)
def test_a_changed_constant_of_the_run_is_noticed(
    tmp_path: Path, owner: Callable[[Run], object], name: str, value: object
) -> None:
    settings = Settings(devices={"imu": DeviceSettings("ucb", "/dev/imu")})
    run = replace(run_in(tmp_path), settings=settings, header=b"a header")
    kept = RunConstants(run)
    kept.verify()
    object.__setattr__(owner(run), name, value)
    with pytest.raises(StateChangedError, match="constant"):
        kept.verify()


@pytest.mark.usefixtures("_each_way_to_read")
@pytest.mark.parametrize("name", ["orbit.arc.duration_s", "orbit.elements.position_sigma_m", "host.baud", "host.port"])
def test_a_flipped_bit_in_the_memory_of_a_setting_is_noticed(tmp_path: Path, name: str) -> None:
    run = run_in(tmp_path)
    object.__setattr__(run.settings.host, "port", "".join(["/dev/", "tty", str(tmp_path)]))
    kept = RunConstants(run)
    value = operator.attrgetter(name)(run.settings)
    place = {float: 19, int: 25, tuple: 26, str: 50}[type(value)]
    ctypes.c_uint8.from_address(id(value) + place).value ^= 8
    try:
        with pytest.raises(StateChangedError, match="constant"):
            kept.verify()
    finally:
        ctypes.c_uint8.from_address(id(value) + place).value ^= 8
    kept.verify()


def test_the_use_of_paths_and_texts_changes_no_constant(tmp_path: Path) -> None:
    run = run_in(tmp_path / "f\u00fcr")
    kept = RunConstants(run)
    assert {run.home / "x", run.folder.name, str(run.runtime), run.settings.host.port}
    hash(run.home)
    kept.verify()
