"""Compare models of field and Sun, and the magnetometer calibration, with measurements of two real satellites.

Usage: python scripts/bench/bench_reality.py [FOLDER]

FOLDER, by default attitude/ in PYGNC_REFERENCE_DATA, contains files that others published; docs/benchmarks/reality.md
says where. The parts whose file or reader (cdflib, h5py) is missing are not run. Prints Markdown tables.

ELFIN-A is a CubeSat that rotates once in 2.85 s about the normal of its orbit. It measured the field at 10 Hz in arcs
of six minutes. Each window of six revolutions is fitted with a constant and a sinusoid per sensor axis: the constant is
the component along the axis of rotation, the amplitude is the strength in the plane of rotation. The axis of rotation
is that of the mission's solution. Fermi keeps the Sun in a plane of its body, so that the third
component of the Sun's direction by its star trackers is the sum of its pointing error and of the errors of our models.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.data_files import (
    EARTH_ORIENTATION_TABLE,
    MAIN_FIELD_TABLE,
    read_earth_orientation,
    read_main_field,
)
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import gcrf_from_teme
from pygnc.environment.solar_radiation import sunlit_fraction
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc.navigation.mag_calibration import MagCalibration, TotalBias
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_system.files import data_file
from scripts.bench.table import print_table, rms

ELFIN_STATES: Final = "ela_l1_state_defn_20220112_v01.cdf"
ELFIN_FIELD: Final = "ela_l1_fgs_20220112_v01.cdf"
ELFIN_COUNTS_PER_UT: Final = (109.2e3, 111.4e3, 103.4e3)
"""Nominal scale of the three axes, as in SPEDAS (projects/elfin/cal_data/elf_cal_fgm.pro)."""
FERMI: Final = "posthist.h5"
J2000_GPS_MS: Final = gps_ms_from_utc_iso("2000-01-01T11:58:55.816Z")
ARC_GAP_MS: Final = 5_000
"""Pause that separates two arcs; shorter ones are steps of the sampling clock."""
STEP_MS: Final = 150
SHORTEST: Final = 600
"""Number of readings, a minute, below which a stretch without such a step is not used."""
WINDOW_TURNS: Final = 6
FEWEST_WINDOWS: Final = 6
PLANE_AXIS: Final = 2
"""Sensor axis that lies in the plane of rotation."""
PERIOD_S: Final = 2.85
NOISE_UT: Final = 0.1
"""Period and noise of simulated readings."""
CADENCE: Final = 50
"""Readings per sample of the host, which has a sample every 5 s."""

Cells = Sequence[str]


class ElfinDay(NamedTuple):
    """Readings of a day: times in ms, readings and modelled field (GCRF) in uT, axis of rotation in GCRF.

    `sunlit` are the visible fractions of the Sun's disc.
    """

    gps_ms: IntArray
    mag_ut: FloatArray
    field_ut: FloatArray
    axis: FloatArray
    sunlit: FloatArray


class Windows(NamedTuple):
    """Fits of windows of six revolutions; a row of each array is a window.

    Attributes:
        arc: Number of the arc.
        constant_ut: Constant of each sensor axis, shape (n, 3).
        amplitude_ut: Amplitude of each sensor axis, shape (n, 3).
        across_ut: Modelled field strength in the plane of rotation.
        along_ut: Modelled component along the axis of rotation.
    """

    arc: IntArray
    constant_ut: FloatArray
    amplitude_ut: FloatArray
    across_ut: FloatArray
    along_ut: FloatArray


def main() -> int:
    """Print a table for each satellite whose files are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    reference = os.environ.get("PYGNC_REFERENCE_DATA", "reference")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(reference, "attitude"), metavar="FOLDER")
    folder = parser.parse_args().folder
    parts: tuple[tuple[str, str, Callable[[ModuleType, Path], Iterator[Cells]]], ...] = (
        ("cdflib", ELFIN_FIELD, elfin_rows),
        ("h5py", FERMI, fermi_rows),
    )
    for reader, name, rows in parts:
        print()
        if not (folder / name).exists():
            print(f"not run: {folder / name} does not exist")
        elif importlib.util.find_spec(reader) is None:
            print(f"not run: {name} needs {reader} (pip install {reader})")
        else:
            print_table(("what", "measured"), rows(importlib.import_module(reader), folder))
    return 0


def elfin_rows(cdflib: ModuleType, folder: Path) -> Iterator[Cells]:
    """Yield the figures of ELFIN-A."""
    day = read_elfin(cdflib, folder)
    windows = spin_fits(day)
    arcs = sorted(set(windows.arc.tolist()))
    yield "readings, arcs, windows", f"{len(day.gps_ms)}, {len(arcs)}, {len(windows.arc)}"

    arc_rows = [rows for arc in arcs if (rows := windows.arc == arc).sum() >= FEWEST_WINDOWS]
    misfits_nt = [_scaled_misfit_nt(windows, rows) for rows in arc_rows]
    each = [rms(misfit_nt) for misfit_nt in misfits_nt]
    arcs_nt = f"{rms(np.concatenate(misfits_nt)):.0f} nT ({min(each):.0f} to {max(each):.0f})"
    yield "strength in the plane of rotation, a gain for each arc", arcs_nt
    whole_day = np.ones(len(windows.arc), np.bool_)
    yield "the same, one gain for the day", f"{rms(_scaled_misfit_nt(windows, whole_day)):.0f} nT"

    columns = np.column_stack((np.ones(len(windows.arc)), windows.along_ut))
    bias_ut, gain = _solved(columns, windows.constant_ut)
    misfit_nt = 1e3 * (windows.constant_ut - columns.dot((bias_ut, gain))).dot(gain) / gain.dot(gain)
    yield "component along the axis of rotation; bias and gains for the day", f"{rms(misfit_nt):.0f} nT"
    left_out = [_solved(columns[windows.arc != arc], windows.constant_ut[windows.arc != arc])[0] for arc in arcs]
    sigma_ut = np.sqrt((len(arcs) - 1) * np.var(left_out, axis=0))
    yield "magnetometer bias by that fit, x, y, z (jackknife)", _vector(bias_ut, sigma_ut)

    gains = np.array(
        [(windows.amplitude_ut / windows.across_ut[:, np.newaxis])[rows].mean(axis=0) for rows in arc_rows]
    )
    change = ", ".join(f"{100.0 * share:.1f}" for share in np.ptp(gains, axis=0) / gains.mean(axis=0))
    yield "range of the gains in the plane of rotation, x, y, z", f"{change} %"

    constant = np.tile(gains.mean(axis=0), (len(day.gps_ms), 1))
    changing = gains[np.minimum(_arcs(day.gps_ms), len(gains) - 1)]
    for name, readings in (
        ("measured", day),
        ("simulated with these gains", simulated(day, bias_ut, gain, changing)),
        ("simulated with constant gains", simulated(day, bias_ut, gain, constant)),
    ):
        yield f"bias by strength, {name}: error (sigma)", _calibrated(readings, bias_ut)


def simulated(day: ElfinDay, bias_ut: FloatArray, along: FloatArray, across: FloatArray) -> ElfinDay:
    """Return the day with simulated readings.

    Args:
        day: Times and fields.
        bias_ut: Bias, shape (3,).
        along: Gain of each axis along the axis of rotation, shape (3,).
        across: Gain of each axis in the plane of rotation, for each reading, shape (n, 3).
    """
    along_ut = np.einsum("ij,ij->i", day.field_ut, day.axis)
    across_ut = np.linalg.norm(day.field_ut - along_ut[:, np.newaxis] * day.axis, axis=1)
    angle = 2e-3 * np.pi / PERIOD_S * (day.gps_ms - day.gps_ms[0])
    # The axes x and y lie in one plane with the axis of rotation, z is normal to them.
    wave = np.column_stack((np.cos(angle), np.cos(angle), np.sin(angle)))
    noise_ut = NOISE_UT * np.random.default_rng(0).standard_normal(wave.shape)
    return day._replace(
        mag_ut=bias_ut + np.outer(along_ut, along) + across * across_ut[:, np.newaxis] * wave + noise_ut
    )


def _calibrated(day: ElfinDay, bias_ut: FloatArray) -> str:
    found = [bias for first in range(0, CADENCE, CADENCE // 5) if (bias := flight_calibration(day, first))]
    if not found:
        return "no solution accepted"
    errors_ut = np.array([np.subtract(bias.bias_ut, bias_ut) for bias in found])
    sigmas_ut = np.array([bias.sigma_ut for bias in found])
    return _vector(np.sqrt(np.square(errors_ut).mean(axis=0)), np.sqrt(np.square(sigmas_ut).mean(axis=0)))


def read_elfin(cdflib: ModuleType, folder: Path) -> ElfinDay:
    """Return the readings of a day with the model at their times."""
    states, readings = (cdflib.CDF(str(folder / name)).varget for name in (ELFIN_STATES, ELFIN_FIELD))
    gps_ms = _gps_ms_from_tt2000(readings("ela_fgs_time"))
    position_teme_m = 1e3 * _interpolated(gps_ms, states("ela_state_time"), states("ela_pos_gei"))
    axis_teme = _interpolated(gps_ms, states("ela_att_time"), states("ela_att_gei"))
    frames = EarthFrames(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
    main_field = read_main_field(data_file(MAIN_FIELD_TABLE))
    field_ut, axis, sunlit = np.empty_like(position_teme_m), np.empty_like(axis_teme), np.empty(len(gps_ms))
    sun_moon, second = SunMoon(), 10
    for first in range(0, len(gps_ms), second):
        rows, at = slice(first, first + second), int(gps_ms[first])
        gcrf_from_inertial = gcrf_from_teme(at, frames)
        ecef_from_gcrf = frames.at(at, np.zeros(1)).ecef_from_gcrf[0]
        position_m = position_teme_m[rows].dot(gcrf_from_inertial.T)
        field_ut[rows] = main_field.at(at, position_m.dot(ecef_from_gcrf.T)).dot(ecef_from_gcrf)
        sunlit[rows] = sunlit_fraction(position_m[0], sun_moon.at(at)[0])
        axis[rows] = axis_teme[rows].dot(gcrf_from_inertial.T)
    axis /= np.linalg.norm(axis, axis=1)[:, np.newaxis]
    return ElfinDay(gps_ms, readings("ela_fgs") / np.array(ELFIN_COUNTS_PER_UT), field_ut, axis, sunlit)


def spin_fits(day: ElfinDay) -> Windows:
    """Return the fits of all complete windows."""
    along_ut = np.einsum("ij,ij->i", day.field_ut, day.axis)
    across_ut = np.linalg.norm(day.field_ut - along_ut[:, np.newaxis] * day.axis, axis=1)
    arc, stretch = _arcs(day.gps_ms), np.cumsum(np.diff(day.gps_ms, prepend=day.gps_ms[0]) > STEP_MS)
    found = []
    for number in range(int(stretch[-1]) + 1):
        rows = np.flatnonzero(stretch == number)
        if len(rows) < SHORTEST:
            continue
        period_s = _period_s(day.mag_ut[rows, PLANE_AXIS])
        length = round(WINDOW_TURNS * period_s * 10.0)
        for first in range(0, len(rows) - length, length):
            window = rows[first : first + length]
            angle = 2e-3 * np.pi / period_s * (day.gps_ms[window] - day.gps_ms[window].mean())
            columns = np.column_stack((np.ones(length), np.cos(angle), np.sin(angle)))
            constant, cosine, sine = _solved(columns, day.mag_ut[window])
            means = across_ut[window].mean(), along_ut[window].mean()
            found.append((arc[window[0]], constant, np.hypot(cosine, sine), *means))
    return Windows(*(np.array(column) for column in zip(*found, strict=True)))


def flight_calibration(day: ElfinDay, first: int) -> TotalBias | None:
    """Return the last bias that the flight software accepts from every 50th reading; None if there is none."""
    calibration, settings = MagCalibration(), MagnetometerSettings()
    for row in range(first, len(day.gps_ms), CADENCE):
        calibration.process(day.mag_ut[row], day.field_ut[row], day.sunlit[row], settings)
    return calibration.known


def fermi_rows(h5py: ModuleType, folder: Path) -> Iterator[Cells]:
    """Yield the figures of Fermi."""
    with h5py.File(folder / FERMI) as file:
        gps_ms = gps_ms_from_utc_iso("2001-01-01T00:00:00Z") + np.round(1e3 * file["time"][:]).astype(np.int64)
        position_m, quaternion = file["sc_pos"][:].astype(float), file["quats"][:]
    sun_moon = SunMoon()
    to_sun_m = np.array([sun_moon.at(at)[0] for at in gps_ms.tolist()]) - position_m
    to_sun = to_sun_m / np.linalg.norm(to_sun_m, axis=1)[:, np.newaxis]
    # Scalar last, from body to inertial axes: the inverse rotation gives body axes.
    vector, scalar = -quaternion[:, :3], quaternion[:, 3:]
    sun_body = to_sun + 2.0 * np.cross(vector, np.cross(vector, to_sun) + scalar * to_sun)
    off_deg = np.degrees(np.arcsin(sun_body[:, 1]))
    moved = 2.0 * np.degrees(np.arccos(np.minimum(np.abs((quaternion[1:] * quaternion[:-1]).sum(axis=1)), 1.0)))
    yield "attitudes, largest rate", f"{len(gps_ms)}, {moved.max():.2f} deg/s"
    yield "Sun along the axis of the solar panels: mean, RMS", f"{off_deg.mean():.3f}, {rms(off_deg):.2f} deg"


def _gps_ms_from_tt2000(nanoseconds: IntArray) -> IntArray:
    """Return GPS ms of nanoseconds since 2000-01-01 12:00:00 TT."""
    return np.round(J2000_GPS_MS + np.asarray(nanoseconds) * 1e-6).astype(np.int64)


def _interpolated(gps_ms: IntArray, tt2000: IntArray, rows: FloatArray) -> FloatArray:
    at_ms = _gps_ms_from_tt2000(tt2000)
    return np.column_stack([np.interp(gps_ms, at_ms, column) for column in rows.astype(np.float64).T])


def _arcs(gps_ms: IntArray) -> IntArray:
    return np.cumsum(np.diff(gps_ms, prepend=gps_ms[0]) > ARC_GAP_MS)


def _period_s(values: FloatArray) -> float:
    """Return the period of a sinusoid sampled at 10 Hz, by the largest peak of its spectrum."""
    padded = 16 * len(values)
    spectrum = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)), padded))
    return float(1.0 / np.fft.rfftfreq(padded, 0.1)[spectrum.argmax()])


def _scaled_misfit_nt(windows: Windows, rows: BoolArray) -> FloatArray:
    """Return measured minus modelled strengths, with the gain that makes them fit best."""
    measured, modelled = windows.amplitude_ut[rows, PLANE_AXIS], windows.across_ut[rows]
    misfit_nt: FloatArray = 1e3 * (measured * modelled.dot(modelled) / measured.dot(modelled) - modelled)
    return misfit_nt


def _solved(columns: FloatArray, values: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(columns, values, rcond=None)[0], np.float64)


def _vector(values_ut: FloatArray, sigma_ut: FloatArray) -> str:
    return ", ".join(f"{value:.2f} ({sigma:.2f})" for value, sigma in zip(values_ut, sigma_ut, strict=True)) + " uT"


if __name__ == "__main__":
    sys.exit(main())
