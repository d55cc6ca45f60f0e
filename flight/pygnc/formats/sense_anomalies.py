"""What looks odd about sense records that were delivered: duplicates, wrong order, clock steps, implausible values."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import LUX_EXPONENT_MAX
from pygnc.formats.damage import Anomaly, AnomalyReason
from pygnc.formats.gps_packet import plausible_gps_packets
from pygnc.formats.sense import SenseLayout
from pygnc.formats.sense_candidates import SENSOR_STEP_S

DUPLICATE_REACH_RECORDS: Final = 1024
"""A record is compared with this many before it: a little over seven hours."""


class AnomalyWatch:
    """Inspects a stream of records, in file order and in pieces of any length."""

    def __init__(self, layout: SenseLayout) -> None:
        self._layout = layout
        self._count = 0
        self._recent_bytes = b""

    def inspect(
        self, records: NDArray[np.void], offsets: NDArray[np.int64], has_clock_step: NDArray[np.bool_], *, final: bool
    ) -> list[Anomaly]:
        """The anomalies of M further records at the absolute `offsets` (M,), in file order; `final`: no more follow."""
        if len(records) == 0:
            return []
        duplicate = self._is_duplicate(records)
        flags = {
            AnomalyReason.DUPLICATE: duplicate,
            AnomalyReason.OUT_OF_ORDER: self._is_out_of_order(records) & ~duplicate,
            AnomalyReason.CLOCK_STEP: has_clock_step,
            AnomalyReason.IMPLAUSIBLE_LIGHT: _has_impossible_light(records),
            AnomalyReason.IMPLAUSIBLE_FIX: ~plausible_gps_packets(records["gps"]),
        }
        flagged = [(index, reason) for reason, where in flags.items() for index in np.flatnonzero(where).tolist()]
        anomalies = []
        for index, reason in sorted(flagged, key=lambda found: found[0]):
            start = int(offsets[index])
            anomalies.append(Anomaly(self._count + index, start, start + self._layout.size, reason))
        self._count += len(records)
        if final:
            return anomalies
        reach = DUPLICATE_REACH_RECORDS * self._layout.size
        self._recent_bytes = (self._recent_bytes + records[-DUPLICATE_REACH_RECORDS:].tobytes())[-reach:]
        return anomalies

    @property
    def _recent(self) -> NDArray[np.void]:
        return np.frombuffer(self._recent_bytes, self._layout.record)

    def _is_out_of_order(self, records: NDArray[np.void]) -> NDArray[np.bool_]:
        first = records["sensors"]["t_spacecraft_s"][:, 0].astype(np.int64)
        last = records["gps"]["t_spacecraft_s"].astype(np.int64)
        # The very first record of a stream has nobody before it.
        latest = self._recent["gps"]["t_spacecraft_s"][-1:] if self._recent_bytes else first[:1]
        earlier: NDArray[np.bool_] = first - np.append(latest, last[:-1]) < SENSOR_STEP_S[0]
        return earlier

    def _is_duplicate(self, records: NDArray[np.void]) -> NDArray[np.bool_]:
        """Equal to the latest record before it that carries the same times, if that is near enough."""
        recent = self._recent
        known = len(recent)
        keys = np.concatenate([_time_key(recent), _time_key(records)]) if known else _time_key(records)
        if (keys[1:] > keys[:-1]).all():
            return np.zeros(len(records), bool)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        earlier, later = order[same], order[same + 1]
        near = (later >= known) & (later - earlier <= DUPLICATE_REACH_RECORDS)
        duplicate = np.zeros(len(records), bool)
        for before, after in zip(earlier[near], later[near], strict=True):
            twin = recent[before] if before < known else records[before - known]
            duplicate[after - known] = twin.tobytes() == records[after - known].tobytes()
        return duplicate


def _time_key(records: NDArray[np.void]) -> NDArray[np.uint64]:
    spacecraft = records["sensors"]["t_spacecraft_s"][:, 0].astype(np.uint64)
    key: NDArray[np.uint64] = spacecraft << np.uint64(32) | records["gps"]["gps_tow_ms"]
    return key


def _has_impossible_light(records: NDArray[np.void]) -> NDArray[np.bool_]:
    words = records["sensors"]["lux"]
    impossible = np.zeros(len(records), bool)
    impossible[np.flatnonzero(words >= (LUX_EXPONENT_MAX + 1) << 12) // words[0].size] = True
    return impossible
