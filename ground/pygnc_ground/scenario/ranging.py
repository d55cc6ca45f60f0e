"""Ranges to the partners by the SX1280: true distance, the pair's delay and white noise; rounding is the format's.

The Doppler shift, some Hz, is left out of the frequency error; the radios' constant offset is all of it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pygnc.formats.gps_packet import RANGE_GPS_PACKET, GpsFixes, encode_gps_packets
from pygnc.formats.ranges import PacketKind, RangeMeasurements, encode_ranges, join_packets
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Partner, Ranging
from pygnc_ground.scenario.truth import Trajectory

_TRANSMIT_POWER_DBM = 12.5
"""The SX1280's maximum; antennas without gain."""
_WAVELENGTH_M = 0.1228
"""2.44 GHz, the middle of the band."""
_RSSI_RANGE_DBM = (-127.5, 0.0)
"""What the packet's byte can say."""


def distances_m(own: Trajectory, partners: Sequence[Trajectory], t_s: npt.NDArray[np.int64]) -> FloatArray:
    """True distance to each of p partners `t_s` seconds after the start, shape (n, p)."""
    own_m = own.states_gcrf(t_s)[:, :3]
    apart_m = [partner.states_gcrf(t_s)[:, :3] - own_m for partner in partners]
    distances: FloatArray = np.linalg.norm(apart_m, axis=2).T
    return distances


def measured_ranges(
    ranging: Ranging,
    partners: Sequence[Partner],
    true_m: FloatArray,
    t_spacecraft_s: npt.NDArray[np.int64],
    seed: int,
) -> RangeMeasurements:
    """What the radio says of the true distances (n, p) at n spacecraft times: n * p packets, partner by partner."""
    count = len(true_m)
    noise = [noise_generator(seed, f"range {partner.id}").standard_normal(count) for partner in partners]
    bias_m = np.array([partner.delay_bias_m for partner in partners])
    path_loss_db = 20.0 * np.log10(4.0 * np.pi * np.maximum(true_m, 1.0) / _WAVELENGTH_M)
    return RangeMeasurements(
        partner_id=np.tile([partner.id for partner in partners], count),
        rssi_dbm=np.clip(_TRANSMIT_POWER_DBM - path_loss_db, *_RSSI_RANGE_DBM).ravel(),
        t_spacecraft_s=np.repeat(t_spacecraft_s, len(partners)),
        frequency_error_hz=np.tile([partner.frequency_offset_hz for partner in partners], count),
        range_m=(true_m + bias_m + ranging.noise_m * np.transpose(noise)).ravel(),
    )


def range_stream(fixes: GpsFixes, ranges: RangeMeasurements) -> bytes:
    """The packets of the range files in order: each fix, then the ranges taken with it."""
    each = [PacketKind.GPS, *[PacketKind.RANGE] * (len(ranges) // len(fixes))]
    kinds = np.tile(np.array(each, dtype=np.uint8), len(fixes))
    return join_packets(kinds, encode_gps_packets(fixes, RANGE_GPS_PACKET), encode_ranges(ranges))
