"""Device that is opened when its port appears, and opened again after its driver has failed."""

import time
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from pygnc_devices.continuity import Continuity
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import PortError
from pygnc_devices.reading import Reading
from pygnc_devices.subscriptions import LIVE_DEPTH, Subscription
from pygnc_system.backoff import Backoff


class ReconnectingDevice:
    """Device whose port may be missing, and whose driver may fail.

    The driver itself reopens a port that disappears later; this class reports the loss and the reconnection.

    Args:
        opener: opens the device.
        report: receives the severity (`info`, `warning` or `error`) and the text of an event.
        on_news: called in the driver's thread when a reading has arrived.
        backoff: delays between attempts to open the device.
        interval_s: time in seconds between readings of one kind that are kept; 0 keeps all. Of the readings, that one
            is kept which is nearest to the end of the interval, so that the jitter of a device at this rate costs none.
        on_grid: keep the readings nearest to the multiples of the interval, so that the mean interval is exact.
        depth: number of readings that may wait; the oldest are dropped and counted.
        fatal: subclasses of PortError that `connect` raises instead of retrying.

    Attributes:
        device: open device; None while it is not open.
    """

    def __init__(
        self,
        opener: Callable[[], BlockingDevice],
        report: Callable[[str, str], None],
        on_news: Callable[[], None],
        backoff: Backoff,
        *,
        interval_s: float = 0.0,
        on_grid: bool = False,
        depth: int = LIVE_DEPTH,
        fatal: tuple[type[PortError], ...] = (),
    ) -> None:
        self.device: BlockingDevice | None = None
        self._opener = opener
        self._report = report
        self._on_news = on_news
        self._backoff = backoff
        self._interval_ns = round(interval_s * 1e9)
        self._on_grid = on_grid
        self._depth = depth
        self._fatal = fatal
        self._readings: Subscription | None = None
        self._is_connected = True
        self._next_attempt_s = 0.0
        self._due_ns: dict[str, int] = {}
        self._last_two_ns: dict[str, tuple[int, int]] = {}
        self._continuity = Continuity()
        self._omitted: dict[str, tuple[int, int, bool]] = {}
        """Missing readings, gaps, ns, and True for estimates, before the omitted readings of each kind of packet."""

    def connect(self) -> bool:
        """Open the device if an attempt is due, or report that its port has disappeared or is back.

        Returns:
            True if this call has opened the device.

        Raises:
            PortError: the error is one of `fatal`.
            Exception: the opener raises another error than PortError and OSError.
        """
        if self.device is not None:
            if self.device.is_connected != self._is_connected:
                self._is_connected = self.device.is_connected
                state = "reconnected" if self._is_connected else "disconnected; reconnecting"
                self._report("warning", f"{self.device.url}: {state}")
            return False
        if time.monotonic() < self._next_attempt_s:
            return False
        try:
            self.device = self._opener()
        except self._fatal:
            raise
        except (PortError, OSError) as error:
            if not self._backoff.failures:
                self._report("warning", f"{error}; retrying")
            self._next_attempt_s = time.monotonic() + self._backoff.next()
            return False
        self._continuity.interrupt(has_new_clock=True)
        self._readings = self.device.subscribe(self._depth, self._on_news)
        self._report("warning" if self._backoff.failures else "info", f"{self.device.url}: connected")
        self._backoff.reset()
        self._is_connected = True
        return True

    def take(self) -> Iterator[Reading]:
        """Yield the readings that have arrived, thinned to the interval.

        `lost_before` and `gap_ns` cover the omitted readings. Device time continues when the device is opened again.
        """
        while (reading := self._next()) is not None:
            kind = reading.packet.name
            lost, gap_ns, is_estimate = self._omitted.get(kind, (0, 0, False))
            self._omitted[kind] = (
                lost + reading.lost_before,
                gap_ns + reading.gap_ns,
                is_estimate or reading.is_estimate,
            )
            if self._is_due(kind, reading.t_mono_ns):
                lost, gap_ns, is_estimate = self._omitted.pop(kind)
                yield replace(reading, lost_before=lost, gap_ns=gap_ns, is_estimate=is_estimate)

    @property
    def is_over(self) -> bool:
        """True if no more readings can arrive, because a recording has ended or the driver has stopped."""
        return self._readings is not None and self._readings.is_over

    def reopen_later(self) -> None:
        """Close the device and open it again after the next delay."""
        self.close()
        self._next_attempt_s = time.monotonic() + self._backoff.next()

    def close(self) -> None:
        """Switch the device off and close its port; readings that have arrived can still be taken."""
        if self.device is not None:
            self.device.close()
        self.device = None

    def _next(self) -> Reading | None:
        if self._readings is None:
            return None
        try:
            reading = self._readings.take(0)
        except Exception as error:  # noqa: BLE001 - a fault of any driver must not end the program that logs it
            self._report("error", f"the driver has failed: {error!r:.200}; restarting it")
            self._readings = None
            self.reopen_later()
            return None
        return None if reading is None else self._continuity.follow(reading)

    def _is_due(self, kind: str, t_mono_ns: int) -> bool:
        if not self._interval_ns:
            return True
        due_ns = self._due_ns.get(kind, t_mono_ns)
        before_ns, last_ns = self._last_two_ns.get(kind, (t_mono_ns, t_mono_ns - self._interval_ns))
        self._last_two_ns[kind] = last_ns, t_mono_ns
        step_ns = min((t_mono_ns - before_ns) // 2, self._interval_ns)
        if t_mono_ns + step_ns // 2 < due_ns:  # the next reading is probably nearer
            return False
        late_ns = max(t_mono_ns - due_ns, 0)
        base_ns = due_ns + late_ns // self._interval_ns * self._interval_ns if self._on_grid else t_mono_ns
        self._due_ns[kind] = base_ns + self._interval_ns
        return True
