"""What the orbit filter remembers as numbers; see `estimators.checkpoint`."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.checkpoint import pack, unpack_row, unpack_rows
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.measurement import Gate
from pygnc.estimators.orbit.state import SIZE, OrbitState

VERSION: Final = 1
_FIX_COLUMNS: Final = 15


def pack_state(state: OrbitState | None) -> bytes:
    """GPS milliseconds (exact in a float64), state and root; empty for no state."""
    if state is None:
        return b""
    return pack([float(state.gps_ms)], state.x, state.sqrt_covariance.ravel())


def unpack_state(packed: bytes) -> OrbitState | None:
    """Inverse of `pack_state`."""
    if not packed:
        return None
    numbers = unpack_row(packed, 1 + SIZE + SIZE * SIZE)
    return OrbitState(int(numbers[0]), numbers[1 : 1 + SIZE].copy(), numbers[1 + SIZE :].reshape(SIZE, SIZE).copy())


def pack_fixes(fixes: Sequence[Fix]) -> bytes:
    """One row of 15 numbers per fix; NaN where there is no velocity."""
    return b"".join(pack(_row(fix)) for fix in fixes)


def unpack_fixes(packed: bytes) -> list[Fix]:
    """Inverse of `pack_fixes`."""
    return [_fix(row) for row in unpack_rows(packed, _FIX_COLUMNS)]


def pack_gate(gate: Gate) -> bytes:
    """Everything a gate remembers, nine numbers."""
    return pack(np.array([gate.factor, gate.correlation, float(gate.accepted), *gate.residual, *gate.variance]))


def unpack_gate(packed: bytes) -> Gate:
    """Inverse of `pack_gate`."""
    factor, correlation, accepted, *numbers = unpack_row(packed, 9).tolist()
    return Gate(factor, tuple(numbers[:3]), tuple(numbers[3:]), bool(accepted), correlation)


def _row(fix: Fix) -> Array:
    missing = np.full(3, np.nan)
    velocity = missing if fix.velocity_ecef_mps is None else fix.velocity_ecef_mps
    sigma = missing if fix.velocity_sigma_mps is None else fix.velocity_sigma_mps
    numbers = ([float(fix.gps_ms)], fix.position_ecef_m, fix.position_sigma_m, velocity, sigma)
    return np.concatenate((*numbers, [fix.velocity_latency_s, float(fix.seq)]))


def _fix(row: Array) -> Fix:
    with_velocity = not np.isnan(row[7])
    return Fix(
        gps_ms=int(row[0]),
        position_ecef_m=row[1:4].copy(),
        position_sigma_m=row[4:7].copy(),
        velocity_ecef_mps=row[7:10].copy() if with_velocity else None,
        velocity_sigma_mps=row[10:13].copy() if with_velocity else None,
        velocity_latency_s=float(row[13]),
        seq=int(row[14]),
    )
