"""What the attitude filter remembers as numbers; see `estimators.checkpoint`."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.hypotheses import BiasPrior, Hypotheses, MagnetometerBias
from pygnc.estimators.attitude.measurement import light_sources
from pygnc.estimators.attitude.mekf import Track
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import SIZE, AttitudeState
from pygnc.estimators.attitude.window import WindowSample
from pygnc.estimators.checkpoint import pack, unpack_row, unpack_rows

VERSION: Final = 2
_STATE_NUMBERS: Final = 5 + SIZE - 3 + SIZE * SIZE
_TRACK_NUMBERS: Final = _STATE_NUMBERS + 6
_MOMENT_NUMBERS: Final = 24
_HYPOTHESIS_NUMBERS: Final = 11


def pack_track(track: Track | None) -> bytes:
    """State, gyro reading and running means; empty for none. Milliseconds are exact in a float64."""
    if track is None:
        return b""
    state = track.state
    return pack(
        [float(state.gps_ms)],
        state.quaternion,
        state.slow,
        state.sqrt_covariance.ravel(),
        track.gyro_imu_rad_s,
        [track.field_misfit, track.light_misfit, track.rejected],
    )


def unpack_track(packed: bytes) -> Track | None:
    """Inverse of `pack_track`."""
    if not packed:
        return None
    numbers = unpack_row(packed, _TRACK_NUMBERS)
    root_from = 2 + SIZE
    state = AttitudeState(
        int(numbers[0]),
        numbers[1:5].copy(),
        numbers[5:root_from].copy(),
        numbers[root_from:_STATE_NUMBERS].reshape(SIZE, SIZE).copy(),
    )
    *gyro, field_misfit, light_misfit, rejected = numbers[_STATE_NUMBERS:].tolist()
    return Track(state, np.array(gyro), field_misfit, light_misfit, rejected)


def pack_faces(faces: FaceHealth) -> bytes:
    """Twelve numbers."""
    return pack(faces.dark, faces.reversed)


def unpack_faces(packed: bytes) -> FaceHealth:
    """Inverse of `pack_faces`."""
    numbers = unpack_row(packed, 12)
    return FaceHealth(numbers[:6].copy(), numbers[6:].copy())


def pack_gyro(gyro: GyroHealth) -> bytes:
    """Twelve numbers."""
    return pack(gyro.reading_rad_s, gyro.repeats, gyro.beyond_range.astype(float), gyro.stuck.astype(float))


def unpack_gyro(packed: bytes) -> GyroHealth:
    """Inverse of `pack_gyro`."""
    reading, repeats, beyond_range, stuck = unpack_row(packed, 12).reshape(4, 3)
    return GyroHealth(reading.copy(), repeats.copy(), beyond_range.astype(np.bool_), stuck.astype(np.bool_))


def pack_prior(prior: BiasPrior) -> bytes:
    """Twelve numbers."""
    return pack(prior.mean, prior.sigma)


def unpack_prior(packed: bytes) -> BiasPrior:
    """Inverse of `pack_prior`."""
    numbers = unpack_row(packed, 12)
    return BiasPrior(numbers[:6].copy(), numbers[6:].copy())


def pack_mag_bias(known: MagnetometerBias | None) -> bytes:
    """Six numbers; empty for none."""
    return b"" if known is None else pack(known.mean_ut, known.sigma_ut)


def unpack_mag_bias(packed: bytes) -> MagnetometerBias | None:
    """Inverse of `pack_mag_bias`."""
    if not packed:
        return None
    numbers = unpack_row(packed, 6)
    return MagnetometerBias(numbers[:3].copy(), numbers[3:].copy())


def pack_moments(moments: Sequence[WindowSample]) -> bytes:
    """One row of 24 numbers per moment; the sky is computed again."""
    rows = []
    for sample, around, _ in moments:
        measured = (sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux)
        known = (around.field_gcrf_ut, around.sun_gcrf_m, around.position_gcrf_m)
        rows.append(pack([float(sample.gps_ms), float(sample.seq)], *measured, *known, [around.sunlit_fraction]))
    return b"".join(rows)


def unpack_moments(packed: bytes, settings: AttitudeSettings) -> list[WindowSample]:
    """Inverse of `pack_moments`."""
    moments = []
    for row in unpack_rows(packed, _MOMENT_NUMBERS):
        sample = AttitudeSample(int(row[0]), row[2:5].copy(), row[5:8].copy(), row[8:14].copy(), int(row[1]))
        around = AttitudeEnvironment(row[14:17].copy(), row[17:20].copy(), row[20:23].copy(), float(row[23]))
        moments.append(WindowSample(sample, around, light_sources(around, settings)))
    return moments


def pack_hypotheses(hypotheses: Hypotheses | None, damping: Array) -> bytes:
    """One row of eleven numbers per hypothesis; empty for none."""
    if hypotheses is None:
        return b""
    columns = (hypotheses.quaternion, hypotheses.gyro_bias_rad_s, hypotheses.mag_bias_ut, damping[:, None])
    return pack(np.concatenate(columns, axis=1).ravel())


def unpack_hypotheses(packed: bytes) -> tuple[Hypotheses | None, Array]:
    """Inverse of `pack_hypotheses`."""
    rows = unpack_rows(packed, _HYPOTHESIS_NUMBERS)
    if not packed:
        return None, np.zeros(0)
    return Hypotheses(rows[:, :4].copy(), rows[:, 4:7].copy(), rows[:, 7:10].copy()), rows[:, 10].copy()
