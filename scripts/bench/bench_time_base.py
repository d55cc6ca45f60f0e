"""Measure the error of times of measurement over simulated lines, beside a Kalman filter of the same arrivals.

python scripts/bench/bench_time_base.py [SEED ...]

The truth is a clock whose rate is off by 30 ppm (1 sigma), moves by 0.5 ppm in 15 min with the temperature and walks.
The errors are those beyond the shortest delay of the line, 1 ms, which no method can observe.
"""

import math
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

from pygnc_devices.clock_line import ClockLine
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import Reading

_Array: TypeAlias = NDArray[np.float64]
_LENGTH_S: Final = 600.0
_SETTLED_S: Final = 60.0
_FLOOR_S: Final = 1e-3
_WALK: Final = 2e-9
"""Walk of the clock's rate in 1 s."""
_PACKET: Final = Packet("x", (), meaning="")
_GATE: Final = 9.0
_JITTER_S: Final = 1e-3
_RATE_WALK: Final = 1e-8


def _uniform(times_s: _Array, noise: np.random.Generator) -> _Array:
    return times_s + noise.uniform(0.0, 3e-3, len(times_s))


def _exponential(times_s: _Array, noise: np.random.Generator) -> _Array:
    return times_s + noise.exponential(1e-3, len(times_s))


def _normal(times_s: _Array, noise: np.random.Generator) -> _Array:
    return times_s + np.abs(noise.normal(1.5e-3, 0.7e-3, len(times_s)))


def _latency_timer(times_s: _Array, noise: np.random.Generator) -> _Array:
    """Return arrivals over an adapter that delivers every 16 ms what it has."""
    phase_s = noise.uniform(0.0, 0.016)
    return np.ceil((times_s - phase_s) / 0.016) * 0.016 + phase_s + noise.uniform(0.0, 1e-3, len(times_s))


def _load(times_s: _Array, noise: np.random.Generator) -> _Array:
    """Return arrivals at a computer that is busy with something else for one reading in 20."""
    late = noise.uniform(size=len(times_s)) < 0.05
    return _uniform(times_s, noise) + np.where(late, noise.exponential(0.05, len(times_s)), 0.0)


def _holds(times_s: _Array, noise: np.random.Generator) -> _Array:
    """Return arrivals over a line that holds everything for up to 8 s, every 25 s."""
    arrivals_s = _uniform(times_s, noise)
    for start_s in np.arange(20.0, _LENGTH_S, 25.0):
        end_s = start_s + noise.uniform(0.5, 8.0)
        arrivals_s[(arrivals_s >= start_s) & (arrivals_s < end_s)] = end_s
    return arrivals_s


LINES: Final[dict[str, Callable[[_Array, np.random.Generator], _Array]]] = {
    "1 to 4 ms, uniform": _uniform,
    "1 ms and exponential, mean 1 ms": _exponential,
    "2.5 ms, normal, sigma 0.7 ms": _normal,
    "latency timer, 16 ms": _latency_timer,
    "1 to 4 ms, and load: 5 % with 50 ms": _load,
    "1 to 4 ms, and held for up to 8 s": _holds,
}


def _device_s(times_s: _Array, noise: np.random.Generator) -> _Array:
    """Return the device's clock, which counts microseconds."""
    step_s = times_s[1] - times_s[0]
    warmth = 0.5e-6 * np.sin(2.0 * np.pi * times_s / 900.0 + noise.uniform(0.0, 2.0 * np.pi))
    walk = _WALK * math.sqrt(step_s) * np.cumsum(noise.standard_normal(len(times_s)))
    rates = noise.normal(0.0, 30e-6) + warmth + walk
    device_s: _Array = np.round((times_s + step_s * np.cumsum(rates)) * 1e6) / 1e6
    return device_s


def _by_line(arrivals_s: _Array, device_s: _Array) -> tuple[_Array, _Array]:
    """Return times of measurement and standard deviations, s."""
    clock = ClockLine()
    readings = [
        Reading(_PACKET, b"", {}, round(1e9 * arrival_s), 0, round(1e9 * at_s))
        for arrival_s, at_s in zip(arrivals_s, device_s, strict=True)
    ]
    found = np.array([clock.follow(reading) for reading in readings]) * 1e-9
    return found[:, 0], found[:, 1]


def _by_kalman_filter(arrivals_s: _Array, device_s: _Array) -> _Array:
    """Return times of measurement by a filter of offset and rate, which refuses arrivals beyond 3 sigma, s."""
    kalman = KalmanFilter(dim_x=2, dim_z=1)
    kalman.x = np.array([[arrivals_s[0] - device_s[0]], [0.0]])
    kalman.P = np.diag([_JITTER_S**2, 1e-8])
    kalman.R *= _JITTER_S**2
    kalman.H = np.array([[1.0, 0.0]])
    found = [arrivals_s[0]]
    for k in range(1, len(device_s)):
        step_s = device_s[k] - device_s[k - 1]
        kalman.F = np.array([[1.0, step_s], [0.0, 1.0]])
        kalman.Q = _RATE_WALK**2 * step_s * np.array([[step_s**2 / 3.0, step_s / 2.0], [step_s / 2.0, 1.0]])
        kalman.predict()
        innovation_s = arrivals_s[k] - device_s[k] - kalman.x[0, 0]
        if innovation_s**2 < _GATE * (kalman.P[0, 0] + _JITTER_S**2):
            kalman.update(np.array([[arrivals_s[k] - device_s[k]]]))
        found.append(device_s[k] + kalman.x[0, 0])
    return np.array(found)


def _row(name: str, rate_hz: float, seeds: list[int]) -> str:
    columns = []
    for seed in seeds:
        noise = np.random.default_rng([seed, round(rate_hz)])
        times_s = np.arange(0.0, _LENGTH_S, 1.0 / rate_hz)
        device_s = _device_s(times_s, noise)
        arrivals_s = np.maximum.accumulate(LINES[name](times_s, noise)) + _FLOOR_S
        line_s, sigma_s = _by_line(arrivals_s, device_s)
        errors = line_s - times_s - _FLOOR_S, _by_kalman_filter(arrivals_s, device_s) - times_s - _FLOOR_S
        settled = times_s >= _SETTLED_S
        first = (times_s >= 10.0) & ~settled
        # The rest of the delay that never varies belongs to the offset, as 1 ms does.
        line, other = (entry - np.mean(entry[settled]) for entry in errors)
        columns.append(
            (
                np.mean(line[first] ** 2),
                np.mean(line[settled] ** 2),
                np.max(np.abs(line[settled])) ** 2,
                np.mean(errors[0][settled]) ** 2,
                np.mean((line[settled] / sigma_s[settled]) ** 2),
                np.mean(other[settled] ** 2),
                np.mean(errors[1][settled]) ** 2,
            )
        )
    mean = np.mean(columns, axis=0)
    values = [1e3 * math.sqrt(value) for value in mean]
    cells = [f"{values[0]:.3f}", f"{values[1]:.3f}", f"{values[2]:.2f}", f"{values[3]:.2f}", f"{mean[4]:.1f}"]
    cells += [f"{values[5]:.3f}", f"{values[6]:.2f}"]
    return f"| {name} | {rate_hz:g} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table of docs/benchmarks."""
    seeds = [int(seed) for seed in sys.argv[1:]] or [101, 102, 103, 104, 105]
    print("| delay of the line | Hz | RMS 10 to 60 s | RMS | largest | offset | NEES | Kalman: RMS | offset |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in LINES:
        for rate_hz in (1.0, 10.0, 100.0):
            print(_row(name, rate_hz, seeds), flush=True)


if __name__ == "__main__":
    main()
