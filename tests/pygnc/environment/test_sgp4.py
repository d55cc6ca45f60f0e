"""Orbits by SGP4."""

import csv
from pathlib import Path

import erfa
import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.common.clock import gps_ms_from_utc_iso, utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import Sgp4Error, gcrf_from_teme, gcrf_states, teme_states
from pygnc.environment.time_scales import TT_MINUS_GPS_S, julian_date
from pygnc.formats.tle import parse_tle
from pygnc_system.files import data_file
from tests.pygnc.environment.authority import EOP, brahe

VECTORS = Path(__file__).with_name("sgp4_vectors.csv")
ISS = (
    "1 25544U 98067A   21264.51782528  .00002893  00000-0  58680-4 0  9996",
    "2 25544  51.6442 208.5856 0001458  47.2277  50.1624 15.48919419302874",
)


def published() -> list[tuple[str, float, np.ndarray]]:
    """Return elements as text, minutes since the epoch, and position in km and velocity in km/s."""
    text, cases = "", []
    with VECTORS.open() as file:
        next(file)
        for row in csv.DictReader(file):
            text = f"{row['line1']}\n{row['line2']}" if row["line1"] else text
            state = np.array([float(row[name]) for name in ("x_km", "y_km", "z_km", "vx_kmps", "vy_kmps", "vz_kmps")])
            cases.append((text, float(row["minutes_since_epoch"]), state))
    return cases


def test_states_agree_with_the_published_verification_cases() -> None:
    cases = published()
    assert len(cases) == 96
    for text, minutes, expected in cases:
        elements = parse_tle(text).elements
        (found,) = teme_states(elements, [elements.epoch_gps_ms + round(60_000 * minutes)])
        np.testing.assert_allclose(found[:3] / 1e3, expected[:3], rtol=0.0, atol=2e-5, err_msg=text)
        np.testing.assert_allclose(found[3:] / 1e3, expected[3:], rtol=0.0, atol=2e-8, err_msg=text)


def test_positions_in_gcrf_agree_with_an_independent_library() -> None:
    elements = parse_tle("\n".join(ISS)).elements
    frames = EarthFrames(EarthOrientationTable.none())
    times = [elements.epoch_gps_ms + 3_600_000 * hours for hours in (0, 7, 30)]
    brahe.set_global_eop_provider(brahe.StaticEOPProvider.from_zero())
    try:
        propagator = brahe.SGPPropagator.from_tle(*ISS, 60.0)
        expected = [propagator.state_gcrf(brahe.Epoch(utc_iso_from_gps_ms(gps_ms))) for gps_ms in times]
    finally:
        brahe.set_global_eop_provider(EOP)
    found = gcrf_states(elements, times, frames)
    # Its SGP4 differs from the published cases by some metres already in TEME.
    np.testing.assert_allclose(found[:, :3], np.array(expected)[:, :3], rtol=0.0, atol=60.0)
    np.testing.assert_allclose(found[:, 3:], np.array(expected)[:, 3:], rtol=0.0, atol=0.06)


def test_the_rotation_from_teme_agrees_with_the_precession_and_nutation_of_its_definition() -> None:
    frames = EarthFrames(EarthOrientationTable.none())
    for text in ("2021-09-21T12:25:40.000Z", "2026-11-22T00:00:00.000Z"):
        gps_ms = gps_ms_from_utc_iso(text)
        day, (fraction,) = julian_date(gps_ms, np.array([TT_MINUS_GPS_S]))
        tod_from_teme = erfa.rz(-erfa.eqeq94(day, fraction), np.eye(3))
        tod_from_j2000 = erfa.nutm80(day, fraction).dot(erfa.pmat76(day, fraction))
        np.testing.assert_allclose(gcrf_from_teme(gps_ms, frames), tod_from_j2000.T.dot(tod_from_teme), atol=5e-7)


def test_earth_orientation_turns_the_position_in_ecef_by_no_more_than_the_pole_moves() -> None:
    elements = parse_tle("\n".join(ISS)).elements
    tables = (EarthOrientationTable.none(), read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
    none, table = (gcrf_states(elements, [elements.epoch_gps_ms], EarthFrames(one))[0, :3] for one in tables)
    # UT1 cancels between the two rotations; only the pole's model remains.
    assert np.linalg.norm(none - table) < 20.0


def test_a_decayed_orbit_is_an_error() -> None:
    elements = replace(parse_tle("\n".join(ISS)).elements, bstar_per_radius=0.5)
    with pytest.raises(Sgp4Error, match="days after the epoch"):
        teme_states(elements, [elements.epoch_gps_ms + 20 * 86_400_000])


def test_the_epoch_is_utc() -> None:
    assert parse_tle("\n".join(ISS)).elements.epoch_gps_ms == gps_ms_from_utc_iso("2021-09-21T12:25:40.104Z")
