"""The books of the input's bytes, file by file, and where in a file the damage is."""

from dataclasses import dataclass
from typing import Final

from pygnc.bus.messages import SourceFile

_LENGTH: Final = 1000
"""Of the strip that stands for a file."""
_LEAST_WIDTH: Final = 4.0
"""One damaged byte can still be seen."""


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """Where a damaged range is drawn on the strip."""

    x: float
    width: float


def balanced(source: SourceFile) -> bool:
    """Whether every byte is either delivered or damaged."""
    return bool(source.fault) or source.size_bytes == source.delivered_bytes + source.damaged_bytes


def strip(source: SourceFile) -> list[DamagedRange]:
    """The damaged ranges that are listed, on a strip of length 1000; those that would cover each other are one."""
    drawn: list[DamagedRange] = []
    for start, stop, _ in sorted(source.damage):
        scale = _LENGTH / max(1, source.size_bytes)
        width = min(max((stop - start) * scale, _LEAST_WIDTH), _LENGTH)
        x = min(start * scale, _LENGTH - width)
        if drawn and x + width <= drawn[-1].x + drawn[-1].width:
            continue
        drawn.append(DamagedRange(round(x, 1), round(width, 1)))
    return drawn
