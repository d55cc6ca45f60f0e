"""What a driver knows of one counter: its link, its configuration, what it measures, what ails it."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pygnc_devices.declaration import Value
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.opc_n3 import framing
from pygnc_devices.opc_n3.commands import STANDARD, Timing
from pygnc_devices.opc_n3.evaluation import MassModel, average, flags, volume_ml
from pygnc_devices.opc_n3.link import Link, UsbIss
from pygnc_devices.opc_n3.packets import HISTOGRAM, HISTOGRAM_BYTES, PM_NAMES
from pygnc_devices.reading import Counts, Reading, Stamp
from pygnc_devices.scheduler import Pause, Procedure

T = TypeVar("T")
_LOOK_S: Final = 0.005
_NS_PER_S: Final = 1e9

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is wanted of a counter.

    Attributes:
        sample_s: how often a histogram is read; None: only when it is asked for.
        interval_s: over how long histograms are put together to one reading; None: each is a reading.
        allow_writes: whether procedures may change its configuration.
        allow_permanent: whether they may do what cannot be undone by switching it off and on.
        timing: rests that it wants.
    """

    sample_s: float | None = None
    interval_s: float | None = None
    allow_writes: bool = False
    allow_permanent: bool = False
    timing: Timing = STANDARD


class OpcUnit:
    """The engine's interpreter for this family.

    Args:
        link: what carries bytes to the counter.
        settings: what is wanted.
        is_recording: whether arrival times say nothing.

    Attributes:
        configuration: configuration variables, once read.
        trouble: what ails it, in words for people; None if it works.
        may_be_on: whether fan and laser may have been switched on from here.
    """

    def __init__(
        self,
        link: Link | None = None,
        settings: Settings | None = None,
        *,
        is_recording: bool = False,
    ) -> None:
        self.link = link or UsbIss()
        self.settings = settings or Settings()
        self.timing = self.settings.timing
        self.configuration: Mapping[str, Value] | None = None
        self.adapter = ""
        self.trouble: str | None = None
        self.may_be_on = False
        self.model = MassModel()
        self._is_recording = is_recording
        self._samples: list[Reading] = []
        self._last_t_mono_ns: int | None = None
        self._lost = 0
        self._is_taken = False
        self._is_set_up = False

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:
        """Return the reading of a histogram that a procedure has put together, or of a recorded one."""
        match frame.kind:
            case framing.WHOLE:
                return self._reading(frame, stamp)
            case framing.DISCARDED:
                self._last_t_mono_ns = stamp.t_mono_ns
            case framing.BROKEN:
                is_whole = len(frame.raw) == HISTOGRAM_BYTES
                counts.take_back(len(frame.raw), DamageReason.CHECKSUM if is_whole else DamageReason.CUT)
                self._lost += 1
            case framing.UNFINISHED if self._samples:
                return self._average()
        return None

    def reconnected(self) -> Procedure[None] | None:
        """Forget what may be different now; see `engine.Interpreter`."""
        self._is_set_up = False
        self._last_t_mono_ns = None
        return None

    def alone(self, procedure: Procedure[T]) -> Procedure[T]:
        """Carry out a procedure while no other one talks to the counter."""
        while self._is_taken:
            yield Pause(_LOOK_S)
        self._is_taken = True
        try:
            if not self._is_set_up:
                self.adapter = yield from self.link.set_up()
                self._is_set_up = True
            return (yield from procedure)
        finally:
            self._is_taken = False

    def set_up_anew(self) -> None:
        """Have the adapter set up again before the next command."""
        self._is_set_up = False

    def learn(self, configuration: Mapping[str, Value]) -> None:
        """Take the configuration variables, by which mass is computed."""
        self.configuration = configuration
        self.model = MassModel.of_configuration(configuration)

    def note(self, trouble: str | None) -> None:
        """Remember what ails the counter, and say it once."""
        if trouble is not None and trouble != self.trouble:
            _log.warning("OPC-N3: %s", trouble)
        elif trouble is None and self.trouble is not None:
            _log.warning("OPC-N3: it works again")
        self.trouble = trouble

    def forget_time(self) -> None:
        """Let the next histogram's sampling period be what it is: the histogram was reset in between."""
        self._last_t_mono_ns = None

    def _reading(self, frame: Frame, stamp: Stamp) -> Reading | None:
        values = decode(frame.payload)
        elapsed_s = None
        if self._last_t_mono_ns is not None and not self._is_recording:
            elapsed_s = (stamp.t_mono_ns - self._last_t_mono_ns) / _NS_PER_S
        self._last_t_mono_ns = stamp.t_mono_ns
        lost, self._lost = self._lost, 0
        doubts = flags(values, self.model, elapsed_s)
        reading = Reading(HISTOGRAM, frame.raw, values, *stamp, lost_before=lost, flags=doubts)
        return reading if self.settings.interval_s is None else self._add(reading, self.settings.interval_s)

    def _add(self, reading: Reading, interval_s: float) -> Reading | None:
        self._samples.append(reading)
        span_s = (reading.t_mono_ns - self._samples[0].t_mono_ns) / _NS_PER_S
        if span_s + 1.5 * (self.settings.sample_s or 0.0) <= interval_s:
            return None
        return self._average()

    def _average(self) -> Reading:
        samples, self._samples = self._samples, []
        return average(samples, self.model)


def decode(raw: bytes) -> dict[str, Value | None]:
    """Return the values of a histogram. Without volume there is no mass concentration: None."""
    values: dict[str, Value | None] = dict(HISTOGRAM.decode(raw))
    for name in ("period_s", "flow_ml_s"):
        values[name] = round(float(values[name] or 0), 2)
    for name in PM_NAMES:
        value = values[name]
        if volume_ml(values) <= 0 or not isinstance(value, float) or not math.isfinite(value):
            values[name] = None
    return values
