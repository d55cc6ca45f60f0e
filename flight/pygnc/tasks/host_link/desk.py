"""What the host's wishes come to: live packets into their stream, the status out of its file, the end of the run."""

import time
from typing import Final

from pygnc.bus.messages import LivePacket
from pygnc.bus.wire import StreamWriter
from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.gps_packet import RANGE_GPS_SYNC
from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import STAT, TIME, NakCause, SentenceType
from pygnc.host.transfer import Refusal
from pygnc.tasks.runtime import Notify, Run

CLOCK_TOLERANCE_S: Final = 2
_WITH_SYNC: Final = frozenset({"GPSR", "PGPS"})


class HostDesk:
    """Serves the conversations of one run.

    Args:
        run: its files and its clock.
        stream: takes live packets.
        notify: takes events.

    Attributes:
        is_stop_asked: Whether the host wants the run to stop.
    """

    def __init__(self, run: Run, stream: StreamWriter, notify: Notify) -> None:
        self.is_stop_asked = False
        self._run = run
        self._stream = stream
        self._notify = notify
        self._clock_told = False

    def take_packet(self, received: Received) -> None:
        """See `Desk`."""
        fields, tail = received.body
        kind = received.kind
        if kind.name in _WITH_SYNC and not tail.startswith(RANGE_GPS_SYNC):
            raise Refusal(NakCause.BODY, ": a GPS packet of a range file begins with AA 44 12")
        radio_id = fields.get("radio_id", 0)
        if radio_id and (radio_id not in PARTNER_IDS or radio_id == self._run.settings.formation.own_id):
            raise Refusal(NakCause.VALUE, f": {radio_id} is the radio id of no partner")
        raw = tail
        if kind is TIME:
            raw = TIME.pack(fields["spacecraft_time_s"], fields["ms"])
            self._compare_clock(fields["spacecraft_time_s"])
        packet = LivePacket(
            seq=self._stream.next_seq,
            kind=kind.name,
            radio_id=radio_id,
            late=received.is_late,
            t_mono_ns=time.monotonic_ns(),
            raw=raw,
        )
        try:
            self._stream.write([packet])
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}") from None

    def report(self, kind: SentenceType) -> bytes:
        """See `Desk`."""
        name = "pygnc_status.bin" if kind is STAT else "pygnc_info.txt"
        try:
            return (self._run.home / name).read_bytes()
        except OSError as error:
            raise Refusal(NakCause.UNABLE, f": {name}: {error.strerror}; ask again in a second") from None

    def stop(self) -> None:
        """See `Desk`."""
        self.is_stop_asked = True

    def _compare_clock(self, t_spacecraft_s: int) -> None:
        """Say it once if the host's clock is not what main.py was told at the start."""
        apart_s = t_spacecraft_s - self._run.spacecraft_time_s()
        if abs(apart_s) > CLOCK_TOLERANCE_S and not self._clock_told:
            self._clock_told = True
            text = f"a time mark is {apart_s} s from the time told at the start; predictions keep to the start's"
            self._notify("warning", "clock_apart", text)
