"""Summaries by series of frames compared with those of each frame interpreted by itself."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.engine import Interpreter
from pygnc_devices.family import Family, family
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Stamp
from pygnc_devices.series import SeriesInterpreter
from pygnc_instruments.device import recording
from pygnc_instruments.device.recording import summarise
from tests.pygnc_instruments.device.mutated_recordings import MAKERS, MakeFrame

TEXT_ONLY = {"emus"}
ONE_BY_ONE = {"pms5003", "sps30"}
"""Families that send one frame per second: their recordings are decoded frame by frame."""
WITH_TEXT = ("vectornav", "novatel")


class Interpreted:
    """Interpreter that knows no series."""

    def __init__(self, unit: Interpreter) -> None:
        self._unit = unit
        self.frames = 0

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Any:  # noqa: ANN401 - as the interpreter
        self.frames += 1
        return self._unit.interpret(frame, stamp, counters)

    def reconnected(self) -> None:
        raise AssertionError


class Counted(Interpreted):
    """Interpreter that counts the frames which are interpreted one by one."""

    def __init__(self, unit: Any) -> None:  # noqa: ANN401 - any interpreter with series
        super().__init__(unit)
        self.head_bytes = unit.head_bytes
        self.series = unit.series


def streams(makers: list[MakeFrame], count: int, dice: random.Random) -> list[bytes]:
    """Return frames of several kinds, in blocks and mixed, with jumps of their clocks and mutated values."""
    numbers = Counter[int]()
    frames = []
    for _ in range(count):
        kinds = dice.sample(range(len(makers)), dice.randint(1, len(makers)))
        for _ in range(dice.choice([1, 10, 60, 300])):
            for kind in kinds:
                numbers[kind] += dice.choices([1, 2, 50], [95, 4, 1])[0]
                frames.append(makers[kind](numbers[kind], mutates=dice.random() < 0.02))
    return frames


def damaged(frames: list[bytes], dice: random.Random) -> bytes:
    """Return the bytes of frames with bits flipped, bytes lost, repeated and inserted."""
    octets = bytearray()
    for frame in frames:
        octets += frame
        if dice.random() < 0.03:
            at = max(0, len(octets) - dice.randrange(2 * len(frame)))
            match dice.randrange(4):
                case 0:
                    octets[at : at + 1] = bytes([octets[at] ^ 1 << dice.randrange(8)]) if at < len(octets) else b""
                case 1:
                    del octets[at : at + dice.randint(1, 80)]
                case 2:
                    octets += octets[at:]
                case _:
                    octets[at:at] = dice.randbytes(dice.randint(1, 60))
    return bytes(octets)


def one_by_one(kind: Family) -> Family:
    return replace(kind, interpreter=lambda baud: Interpreted(kind.interpreter(baud)))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("seed", range(6))
def test_a_summary_by_series_is_that_of_the_single_frames(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, dice = family(name), random.Random(seed)  # noqa: S311 - repeatable
    makers = [MAKERS[name](dice) for _ in range(dice.randint(1, 5))]
    frames = streams(makers, 6, dice)
    path = tmp_path / "x.raw"
    path.write_bytes(damaged(frames, dice) if seed else b"".join(frames))
    expected = summarise(path, [one_by_one(kind)])
    for piece in (dice.randint(600, 5000), 1 << 18):
        monkeypatch.setattr(recording, "_PIECE_BYTES", piece)
        assert summarise(path, [kind]) == expected


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in TEXT_ONLY | ONE_BY_ONE])
def test_few_frames_of_a_steady_stream_are_interpreted_one_by_one(name: str, tmp_path: Path) -> None:
    assert isinstance(family(name).interpreter(115200), SeriesInterpreter)
    assert singles(name, made_with(name, is_text=False), tmp_path) < 100


@pytest.mark.parametrize("name", WITH_TEXT)
@pytest.mark.parametrize("seed", range(5))
def test_few_lines_of_a_steady_stream_are_interpreted_one_by_one(name: str, seed: int, tmp_path: Path) -> None:
    assert singles(name, made_with(name, is_text=True, seed=seed), tmp_path) < 200


def singles(name: str, make: MakeFrame, folder: Path) -> int:
    """Return how many of 2000 frames are interpreted one by one; the summary is that of single frames."""
    kind, unit = family(name), list[Counted]()
    path = folder / "x.raw"
    path.write_bytes(b"".join(make(number, mutates=False) for number in range(2000)))

    def interpreter(baud: int) -> Interpreter:
        unit.append(Counted(kind.interpreter(baud)))
        return unit[0]

    assert summarise(path, [replace(kind, interpreter=interpreter)]) == summarise(path, [one_by_one(kind)])
    return unit[0].frames


def made_with(name: str, *, is_text: bool, seed: int = 3) -> MakeFrame:
    """Return a maker of lines of text, or of other frames whose length is fixed."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    while True:
        made = MAKERS[name](dice)
        frames = [made(number, mutates=False) for number in (1, 2000)]
        if (frames[0][:1] in b"$#") == is_text and (is_text or len(frames[0]) == len(frames[1])):
            return made
