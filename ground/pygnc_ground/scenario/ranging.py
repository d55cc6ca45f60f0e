"""SX1280 ranging: true distance plus the pair's delay bias, noise and outliers.

The two directions of a pair are separate exchanges: they share the delay bias but not the noise. The file format rounds
the ranges.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.formats.gps_packet import RANGE_GPS_PACKET, GpsFixes, encode_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, PacketKind, RangeMeasurements, encode_ranges, join_packets
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.formation import Link
from pygnc_ground.scenario.settings import Ranging, noise_generator
from pygnc_ground.scenario.trajectory import SatellitePath

_TRANSMIT_POWER_DBM: Final = 12.5
"""Maximum output power of the SX1280; the antennas have no gain."""
_CARRIER_HZ: Final = 2.44e9
"""Carrier frequency in the middle of the band."""
_LIGHT_MPS: Final = 299_792_458.0
_RSSI_RANGE_DBM: Final = (-127.5, 0.0)
"""Range of the packet's RSSI byte."""


class TrueRanges(NamedTuple):
    """True values of m range packets in their order, each of shape (m,)."""

    gps_ms: npt.NDArray[np.int64]
    partner_id: npt.NDArray[np.int64]
    distance_m: FloatArray
    delay_bias_m: FloatArray
    """Delay bias that is part of each range of the pair."""


class Exchanges(NamedTuple):
    """True distances to p partners at n times, and a flag for each successful measurement; all of shape (n, p)."""

    distance_m: FloatArray
    range_rate_mps: FloatArray
    is_measured: npt.NDArray[np.bool_]

    def measured(self, values: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the values, of any shape that broadcasts to (n, p), of the successful measurements in time order."""
        return np.broadcast_to(values, self.is_measured.shape)[self.is_measured]


def exchanges(
    ranging: Ranging, own: SatellitePath, links: Sequence[Link], t_s: npt.NDArray[np.int64], seed: int
) -> Exchanges:
    """Return one exchange with each partner at `t_s` whole seconds after the start, shape (n,)."""
    own_states = own.states_gcrf(t_s)
    relative = np.stack([link.partner.states_gcrf(t_s) - own_states for link in links], axis=1)
    distance_m = np.linalg.norm(relative[..., :3], axis=2)
    # Two satellites at the same place have no direction to each other.
    range_rate_mps = np.sum(relative[..., :3] * relative[..., 3:], axis=2) / np.maximum(distance_m, 1e-6)
    missing = [noise_generator(seed, f"missing ranges {link.partner_id}").random(len(t_s)) for link in links]
    return Exchanges(distance_m, range_rate_mps, np.transpose(missing) >= ranging.missing_rate)


def measured_ranges(
    ranging: Ranging, links: Sequence[Link], made: Exchanges, t_spacecraft_s: npt.NDArray[np.int64], seed: int
) -> RangeMeasurements:
    """Return the ranges measured at n spacecraft times, one packet for each successful exchange, in time order."""
    bias_m = np.array([link.delay_bias_m for link in links])
    offset_hz = np.array([link.frequency_offset_hz for link in links])
    error_m = np.transpose([_errors_m(ranging, link, len(t_spacecraft_s), seed) for link in links])
    wavelength_m = _LIGHT_MPS / _CARRIER_HZ
    path_loss_db = 20.0 * np.log10(4.0 * np.pi * np.maximum(made.distance_m, 1.0) / wavelength_m)
    return RangeMeasurements(
        partner_id=made.measured([link.partner_id for link in links]),
        rssi_dbm=made.measured(np.clip(_TRANSMIT_POWER_DBM - path_loss_db, *_RSSI_RANGE_DBM)),
        t_spacecraft_s=made.measured(t_spacecraft_s[:, np.newaxis]),
        # The Doppler shift raises the carrier of an approaching partner.
        frequency_error_hz=made.measured(offset_hz - _CARRIER_HZ / _LIGHT_MPS * made.range_rate_mps),
        range_m=made.measured(made.distance_m + bias_m + error_m),
    )


def true_ranges(links: Sequence[Link], made: Exchanges, gps_ms: npt.NDArray[np.int64]) -> TrueRanges:
    """Return the true values of the packets of `measured_ranges`, for exchanges at n GPS times."""
    return TrueRanges(
        gps_ms=made.measured(gps_ms[:, np.newaxis]),
        partner_id=made.measured([link.partner_id for link in links]),
        distance_m=made.measured(made.distance_m),
        delay_bias_m=made.measured([link.delay_bias_m for link in links]),
    )


def range_packets(fixes: GpsFixes, ranges: RangeMeasurements, made: Exchanges) -> list[bytes]:
    """Return the packets of the range files: each fix is followed by the ranges of its epoch."""
    is_there = np.column_stack((np.ones(len(fixes), np.bool_), made.is_measured))
    columns = [PacketKind.GPS] + [PacketKind.RANGE] * made.is_measured.shape[1]
    kinds = np.broadcast_to(columns, is_there.shape)[is_there].astype(np.uint8)
    stream = join_packets(kinds, encode_gps_packets(fixes, RANGE_GPS_PACKET), encode_ranges(ranges))
    sizes = np.where(kinds == PacketKind.RANGE, RANGE_PACKET.itemsize, RANGE_GPS_PACKET.itemsize)
    ends = np.cumsum(sizes)
    return [stream[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]


def _errors_m(ranging: Ranging, link: Link, count: int, seed: int) -> FloatArray:
    """Return noise plus outliers of the ranges to one partner, shape (count,)."""
    name = f"range {link.partner_id}"
    errors_m: FloatArray = ranging.noise_m * noise_generator(seed, name).standard_normal(count)
    drawn = noise_generator(seed, f"{name} outliers").random(count)
    # Outliers with a draw in the lower half are negative.
    side = np.where(drawn < 0.5 * ranging.outlier_rate, -1.0, 1.0)
    return errors_m + ranging.outlier_m * np.where(drawn < ranging.outlier_rate, side, 0.0)
