"""State of one Control Unit: validity of its values, number of its cells."""

from collections.abc import Mapping
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import GROUP_FIELDS, sentence_of
from pygnc_devices.emus.framing import decode
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY, UNKNOWN
from pygnc_devices.framing import LINE_END, Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.series import Followed, Series, Span

NOT_VALID: Final = "not valid"
"""The unit's status (ST1) declares values of this kind invalid."""
NO_CELLS: Final = "no cell communication"
"""The unit responded with empty fields."""
IMPLAUSIBLE: Final = "implausible"
"""The values contradict each other."""

VALIDITY_BIT: Final = {"BV1": 0, "BV2": 0, "BT1": 1, "BT2": 1, "BB1": 2, "BB2": 2, "BT3": 5, "BT4": 5}
_STATUS_AGE_NS: Final = 60_000_000_000
_AVERAGE_ERROR_V: Final = 0.01
"""Resolution of the average cell voltage."""


class EmusUnit:
    """Interpreter of the sentences of a unit, and state that its operations share.

    Attributes:
        allow_writes: True if operations may change the unit.
        name_cells: True if readings of single cells name each value by the number of its cell, see `cells.sentence_of`.
    """

    head_bytes = 4
    """Bytes of the name of a sentence with its comma."""

    def __init__(self, *, allow_writes: bool = False, name_cells: bool = False) -> None:
        self.allow_writes = allow_writes
        self.name_cells = name_cells
        self._counts_of_cells: dict[str, int] = {}
        self._status: int | None = None
        self._status_t_mono_ns = 0

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading in a sentence."""
        if frame.kind == LINE_END:
            return None
        sentence = SENTENCES.get(frame.kind, UNKNOWN)
        values = decode(frame)
        self._learn(frame.kind, values, stamp)
        if not sentence.is_reading:
            return None
        flags = self._flags(frame.kind, values, stamp.t_mono_ns)
        if self.name_cells and frame.kind in SUMMARY:
            string, first = values["string"], values["first_cell"]
            if isinstance(string, int) and isinstance(first, int):
                sentence = sentence_of(frame.kind, string, first)
                values = dict(
                    zip((field.name for field in sentence.fields), list(values.values())[GROUP_FIELDS:], strict=True)
                )
        return Reading(sentence, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, flags=flags)

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a sentence with words of the same lengths; see `SeriesInterpreter`."""
        from pygnc_devices.emus.recording import Template  # noqa: PLC0415 - drivers do not need NumPy

        sentence = SENTENCES.get(frame.kind)
        is_whole = frame.raw.endswith(b"\r\n") and frame.payload
        if sentence is None or self.name_cells or not is_whole:
            return None
        template = Template(sentence, frame.raw)

        def follow() -> Followed | None:
            return (sentence, None, 0) if sentence.is_reading else None

        def follow_steady() -> Span | None:
            return Span(sentence, None, None) if sentence.is_reading else None

        return Series(template.fixed, (), template.are_intact, follow, follow_steady, template)

    def reconnected(self) -> None:
        """Discard the state; the unit may have been swapped. See `engine.Interpreter`."""
        self._status = None
        self._counts_of_cells.clear()

    def expected_cells(self, name: str) -> int | None:
        """Return the number of cells by the latest summary sentence for `name`; None before the first summary."""
        return self._counts_of_cells.get(SUMMARY[name])

    def is_valid(self, name: str, t_mono_ns: int) -> bool | None:
        """Return True if the unit's status declares a sentence valid; None if no status arrived in the last 60 s."""
        if self._status is None or name not in VALIDITY_BIT or t_mono_ns - self._status_t_mono_ns > _STATUS_AGE_NS:
            return None
        return bool(self._status >> VALIDITY_BIT[name] & 1)

    def _learn(self, name: str, values: Mapping[str, Value | None], stamp: Stamp) -> None:
        status, cells = values.get("status"), values.get("cells")
        if name == "ST1" and isinstance(status, int):
            self._status, self._status_t_mono_ns = status, stamp.t_mono_ns
        if name in SUMMARY.values() and isinstance(cells, int):
            self._counts_of_cells[name] = cells

    def _flags(self, name: str, values: Mapping[str, Value | None], t_mono_ns: int) -> tuple[str, ...]:
        flags = []
        if name in VALIDITY_BIT and all(value is None for value in values.values()):
            flags.append(NO_CELLS)
        if self.is_valid(name, t_mono_ns) is False:
            flags.append(NOT_VALID)
        if name == "BV1" and not _is_plausible(values):
            flags.append(IMPLAUSIBLE)
        return tuple(flags)


def _is_plausible(values: Mapping[str, Value | None]) -> bool:
    """Return True if lowest, average, highest and pack voltage agree; parallel strings divide the pack voltage."""
    low, mean, high, total = (values[f"{name}_v"] for name in ("cell_min", "cell_average", "cell_max", "pack"))
    cells = values["cells"]
    if not (isinstance(low, float) and isinstance(mean, float) and isinstance(high, float)):
        return True
    if not low <= mean <= high:
        return False
    if not isinstance(cells, int) or not isinstance(total, float) or cells == 0 or total == 0:
        return True
    in_series = total / mean
    strings = max(1, round(cells / in_series))
    return abs(total * strings - cells * mean) <= cells * _AVERAGE_ERROR_V + strings * _AVERAGE_ERROR_V
