"""State of a counter: its command channel, its configuration, its histograms, its fault."""

import logging
import math

from pygnc_devices.declaration import Value
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.opc_n3.command_channel import STANDARD, Channel, Link, Timing, UsbIss
from pygnc_devices.opc_n3.evaluation import MassModel, average, flags, volume_ml
from pygnc_devices.opc_n3.framing import are_intact
from pygnc_devices.opc_n3.packets import HISTOGRAM, HISTOGRAM_BYTES, PM_NAMES
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.series import Followed, Series, Span

_log = logging.getLogger(__name__)


class OpcUnit:
    """State of a counter, and interpreter of recorded histograms.

    Args:
        link: link to the counter; None: the USB adapter.
        counters: counters of the connection; None: new counters.
        sample_s: interval between histograms, s; None: read only on request.
        interval_s: time over which histograms are averaged, s; None: each histogram is a reading.
        allow_writes: True if operations may change the configuration until power-off.
        allow_permanent: True if operations may also make changes that survive power-off.
        timing: pauses that the counter needs.

    Attributes:
        channel: carries out commands.
        trouble: description of the fault of the counter; None if it works.
        may_be_on: True if this program may have switched on fan and laser.
        model: mass model by the configuration.
    """

    head_bytes = 0
    """Histograms have no head."""

    def __init__(
        self,
        link: Link | None = None,
        counters: Counters | None = None,
        *,
        sample_s: float | None = None,
        interval_s: float | None = None,
        allow_writes: bool = False,
        allow_permanent: bool = False,
        timing: Timing = STANDARD,
    ) -> None:
        self.sample_s = sample_s
        self.interval_s = interval_s
        self.allow_writes = allow_writes or allow_permanent
        self.allow_permanent = allow_permanent
        self.timing = timing
        self.channel = Channel(link or UsbIss(), timing)
        self.trouble: str | None = None
        self.may_be_on = False
        self.model = MassModel()
        self._counters = counters or Counters()
        self._samples: list[Reading] = []
        self._last_t_mono_ns: int | None = None
        self._lost = 0

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading of a recorded histogram; None if an average is not complete yet."""
        return self.add_histogram(frame.raw, stamp)

    def series(self, frame: Frame) -> Series | None:  # noqa: ARG002 - see `SeriesInterpreter`
        """Return the series of recorded histograms, unless they are averaged; see `SeriesInterpreter`."""

        def follow() -> Followed:
            lost, self._lost = self._lost, 0
            return HISTOGRAM, None, lost

        def follow_steady() -> Span | None:
            return None if self._lost else Span(HISTOGRAM, None, None)

        return Series((), (), are_intact, follow, follow_steady, self) if self.interval_s is None else None

    def reconnected(self) -> None:
        """Prepare for a counter that may have restarted; see `engine.Interpreter`."""
        self.channel.is_set_up = False
        self.forget_time()

    def add_histogram(self, raw: bytes, stamp: Stamp) -> Reading | None:
        """Return the reading of a histogram, or the average that it completes; None if it completes no average."""
        values = decode(raw)
        elapsed_s = None
        if self._last_t_mono_ns is not None and stamp.host_ns is not None:
            elapsed_s = (stamp.t_mono_ns - self._last_t_mono_ns) / NS_PER_S
        self._last_t_mono_ns = stamp.t_mono_ns
        lost, self._lost = self._lost, 0
        doubts = flags(values, self.model, elapsed_s)
        reading = Reading(HISTOGRAM, raw, values, *stamp, lost_before=lost, flags=doubts)
        if self.interval_s is None:
            return reading
        self._samples.append(reading)
        span_s = (reading.t_mono_ns - self._samples[0].t_mono_ns) / NS_PER_S
        is_complete = span_s + 1.5 * (self.sample_s or 0.0) > self.interval_s
        return self.finish_average() if is_complete else None

    def discard_histogram(self, stamp: Stamp) -> None:
        """Store the time of a histogram that is not used, for the next check of the sampling period."""
        self._last_t_mono_ns = stamp.t_mono_ns

    def reject_histogram(self, octets: bytes) -> None:
        """Count a broken histogram."""
        is_whole = len(octets) == HISTOGRAM_BYTES
        self._counters.reject(len(octets), DamageReason.CHECKSUM if is_whole else DamageReason.CUT)
        self._lost += 1

    def finish_average(self) -> Reading | None:
        """Return the average of the histograms since the previous average; None if there are no histograms."""
        samples, self._samples = self._samples, []
        return average(samples, self.model) if samples else None

    def set_trouble(self, trouble: str | None) -> None:
        """Store the fault of the counter, None if it works, and log each change."""
        if trouble is not None and trouble != self.trouble:
            _log.warning("OPC-N3: %s", trouble)
        elif trouble is None and self.trouble is not None:
            _log.warning("OPC-N3: works again")
        self.trouble = trouble

    def forget_time(self) -> None:
        """Omit the next check of the sampling period: the histogram was reset in between."""
        self._last_t_mono_ns = None


def decode(raw: bytes) -> dict[str, Value | None]:
    """Return the values of a histogram. Mass concentrations without a sampled volume are None."""
    values: dict[str, Value | None] = dict(HISTOGRAM.decode(raw))
    for name in ("period_s", "flow_ml_s"):
        values[name] = round(float(values[name] or 0), 2)
    for name in PM_NAMES:
        value = values[name]
        if volume_ml(values) <= 0 or not isinstance(value, float) or not math.isfinite(value):
            values[name] = None
    return values
