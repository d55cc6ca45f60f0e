"""Passes against skyfield, and their standard deviations against moved orbits."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.common.clock import gps_ms_from_utc_iso, utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.elements_orbit import elements_state, position_sigma_rtn_m
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.formats.tle import parse_tle
from pygnc_ground.orbit.passes import Pass, Station, find_passes, passes_table, read_stations
from pygnc_ground.orbit.uncertain import UncertainOrbit
from pygnc_ground.truth.ephemeris import NS_PER_MS
from pygnc_system.files import data_file

TLE = (
    "1 25544U 98067A   25079.52901620  .00016717  00000+0  30375-3 0  9990",
    "2 25544  51.6370  33.2480 0003640 333.5130 173.5830 15.49889010501250",
)
ELEMENTS = parse_tle("\n".join(TLE)).elements
BEGIN_MS = gps_ms_from_utc_iso("2025-03-20T14:00:00Z")
END_MS = BEGIN_MS + 7 * 3_600_000
FRAMES = EarthFrames(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
STATION = Station(48.15, 11.57, 520.0, name="Munich")


def passes_of(elements: MeanElements, begin_ms: int = BEGIN_MS, end_ms: int = END_MS) -> list[Pass]:
    times = range(begin_ms - 60_000, end_ms + 120_000, 60_000)
    states = [elements_state(elements, ms, FRAMES, OrbitSettings()) for ms in times]
    return find_passes(UncertainOrbit.from_states(states, FRAMES), STATION, begin_ms, end_ms)


@pytest.fixture(scope="module")
def passes() -> list[Pass]:
    return passes_of(ELEMENTS)


def moment(gps_ns: int) -> datetime:
    """Return a time, to the microsecond."""
    return datetime.fromisoformat(utc_iso_from_gps_ms(gps_ns // NS_PER_MS)) + timedelta(
        microseconds=gps_ns % NS_PER_MS // 1000
    )


def test_passes_are_those_of_skyfield(passes: list[Pass]) -> None:
    api = pytest.importorskip("skyfield.api")
    scale = api.load.timescale(builtin=True)
    satellite = api.EarthSatellite(*TLE, "ISS", scale)
    station = api.wgs84.latlon(STATION.latitude_deg, STATION.longitude_deg, STATION.height_m)
    begin, end = (scale.from_datetime(moment(ms * NS_PER_MS)) for ms in (BEGIN_MS, END_MS))
    times, kinds = satellite.find_events(station, begin, end, altitude_degrees=10.0)
    found = [event for one in passes for event in one.events]
    assert [event.name for event in found] == [("rise", "culmination", "set")[kind] for kind in kinds]
    for event, time in zip(found, times, strict=True):
        # skyfield searches to half a second; what it has for our time is compared below.
        assert abs((moment(event.gps_ns) - time.utc_datetime()).total_seconds()) < 1.0
        at = scale.from_datetime(moment(event.gps_ns))
        elevation, azimuth, distance, _, _, rate = (satellite - station).at(at).frame_latlon_and_rates(station)
        assert event.elevation_deg == pytest.approx(elevation.degrees, abs=1e-3)
        assert event.azimuth_deg == pytest.approx(azimuth.degrees, abs=2e-3)
        assert event.range_m == pytest.approx(distance.m, abs=20.0)
        assert event.range_rate_mps == pytest.approx(1e3 * rate.km_per_s, abs=0.3)  # 3 ms of Earth rotation


def test_standard_deviations_of_times_are_those_of_moved_orbits(passes: list[Pass]) -> None:
    """An orbit ahead by one standard deviation has its events earlier by one."""
    middle_ms = (BEGIN_MS + END_MS) // 2
    along_m = float(position_sigma_rtn_m(ELEMENTS, middle_ms, OrbitSettings().elements)[1])
    ahead_deg = np.degrees(along_m / ELEMENTS.semi_major_axis_m)
    moved = passes_of(replace(ELEMENTS, mean_anomaly_deg=ELEMENTS.mean_anomaly_deg + ahead_deg))
    for before, after in zip(passes, moved, strict=True):
        if before.culmination.elevation_deg < 40.0:
            continue  # the other components matter, too
        for event, other in zip(before.events, after.events, strict=True):
            assert event.gps_ns - other.gps_ns == pytest.approx(1e9 * event.time_sigma_s, rel=0.25)


def test_a_pass_that_begins_before_the_span_has_no_rise(passes: list[Pass]) -> None:
    ns = passes[1].culmination.gps_ns
    (first, *_) = passes_of(ELEMENTS, begin_ms=ns // NS_PER_MS + 1, end_ms=ns // NS_PER_MS + 600_000)
    assert first.rise is None
    assert first.set is not None
    assert first.set.gps_ns == pytest.approx(passes[1].set.gps_ns if passes[1].set else 0, abs=2_000_000)


def test_the_table_has_a_row_for_each_event(passes: list[Pass]) -> None:
    table = passes_table(passes, 437e6)
    assert table.height == sum(len(one.events) for one in passes)
    rise = table.row(0, named=True)
    assert rise["doppler_hz"] == pytest.approx(-437e6 / 299_792_458.0 * rise["range_rate_mps"])
    assert passes_table(passes, None)["doppler_hz"].null_count() == table.height


@pytest.mark.parametrize("text", ["", "91,0,0", "48", "1,2,3,4", "nan,0", "here"])
def test_bad_stations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="station"):
        Station.from_text(text)


def test_stations_of_a_file_have_its_names(tmp_path: Path) -> None:
    file = tmp_path / "stations.toml"
    file.write_text("[munich]\nlatitude_deg = 48.15\nlongitude_deg = 11.57\nelevation_mask_deg = 5\n")
    assert read_stations(file) == {"munich": Station(48.15, 11.57, 0.0, 5.0, "munich")}
    file.write_text("[munich]\nlatitude_deg = 48.15\n")
    with pytest.raises(ValueError, match="longitude_deg"):
        read_stations(file)
