"""The filter's memory as plain numbers and bytes, exactly: what goes in comes out bit for bit."""

from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.orbit.gate import Gate
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.state import SIZE, OrbitState

Checkpoint: TypeAlias = dict[str, int | float | str | bytes]
"""Arrays are little-endian float64."""

VERSION: Final = 1
_FIX_COLUMNS: Final = 15


_Kind = TypeVar("_Kind", bytes, float)


def take(checkpoint: Checkpoint, key: str, kind: type[_Kind]) -> _Kind:
    """The value under a key.

    Raises:
        ValueError: There is none, or one of another kind.
    """
    value = checkpoint.get(key)
    if not isinstance(value, kind):
        raise ValueError(f"orbit checkpoint without {kind.__name__} under {key!r}")  # noqa: TRY004 - data, not a call
    return value


def pack_state(state: OrbitState | None) -> bytes:
    """GPS milliseconds (exact in a float64), state and root; empty for no state."""
    if state is None:
        return b""
    return _bytes(np.concatenate(([float(state.gps_ms)], state.x, state.sqrt_covariance.ravel())))


def unpack_state(packed: bytes) -> OrbitState | None:
    """Inverse of `pack_state`."""
    if not packed:
        return None
    numbers = _array(packed, 1 + SIZE + SIZE * SIZE)[0]
    return OrbitState(int(numbers[0]), numbers[1 : 1 + SIZE].copy(), numbers[1 + SIZE :].reshape(SIZE, SIZE).copy())


def pack_fixes(fixes: Sequence[Fix]) -> bytes:
    """One row of 15 numbers per fix; NaN where there is no velocity."""
    return b"".join(_bytes(_row(fix)) for fix in fixes)


def unpack_fixes(packed: bytes) -> list[Fix]:
    """Inverse of `pack_fixes`."""
    return [_fix(row) for row in _array(packed, _FIX_COLUMNS)]


def pack_gate(gate: Gate) -> bytes:
    """Everything a gate remembers, nine numbers."""
    return _bytes(np.array([gate.factor, gate.correlation, float(gate.accepted), *gate.residual, *gate.variance]))


def unpack_gate(packed: bytes) -> Gate:
    """Inverse of `pack_gate`."""
    factor, correlation, accepted, *numbers = _array(packed, 9)[0].tolist()
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


def _bytes(numbers: Array) -> bytes:
    return numbers.astype("<f8").tobytes()


def _array(packed: bytes, columns: int) -> Array:
    if len(packed) % (8 * columns):
        raise ValueError(f"checkpoint: {len(packed)} bytes are no rows of {columns} numbers")
    return np.frombuffer(packed, dtype="<f8").astype(np.float64).reshape(-1, columns)
