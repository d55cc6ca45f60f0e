"""Relative positions from raw measurements of two simulated receivers."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.orbit import app
from pygnc_ground.commands.raw_partner import PartnerFiles, RadioRanges
from pygnc_ground.orbit.batch.forces import FIRST_NODE
from pygnc_ground.orbit.raw.determination import RawOrbit, Receiver, solve_raw_orbit
from pygnc_ground.orbit.raw.differences import WAVELENGTHS_M, Pairs
from pygnc_ground.orbit.raw.relative import solve_relative
from pygnc_ground.orbit.raw.screening import RawOrbitError
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.truth.frames import earth_orientation
from scripts.bench.bench_raw_formation import Flight, relative, settings_of, simulated, write_ranges

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_formation")]


@pytest.fixture(scope="module")
def near() -> Flight:
    return simulated(39_101, 1.5, 5_000.0)


@pytest.fixture(scope="module")
def solved(near: Flight) -> tuple[RawOrbit, RawOrbit, EarthFrames]:
    frames = EarthFrames(earth_orientation(int(near.seen[0].gps_ms[-1])))
    orbits, settings = near.orbits("precise"), OrbitSettings()
    own, partner = (solve_raw_orbit(seen, orbits, None, Receiver(), settings, frames) for seen in near.seen)
    return own, partner, frames


def test_both_receivers_see_the_same_sky_with_errors_of_their_own(near: Flight) -> None:
    one, other = near.files
    assert one.navigation == other.navigation
    assert one.precise == other.precise
    assert not np.array_equal(one.clock_s, other.clock_s)


@pytest.mark.parametrize("dual", [True, False])
def test_near_partner_is_known_to_two_centimetres(near: Flight, *, dual: bool) -> None:
    found, errors = relative(near, "precise", dual=dual)
    assert errors.floating_m < 0.1
    assert errors.fixed_m < 0.02
    assert errors.fixed_nees < 2.0
    assert errors.wrong == 0
    assert errors.integers > 0.3 * errors.ambiguities
    assert np.nanmedian(np.abs(found.phase_m)) < 0.005


@pytest.mark.slow
def test_far_partner_is_known_to_ten_centimetres() -> None:
    far = simulated(39_102, 1.5, 220_000.0)
    for dual, limit_m in ((True, 0.1), (False, 0.3)):
        _, errors = relative(far, "broadcast", dual=dual)
        assert errors.fixed_m < limit_m
        assert errors.wrong == 0


def test_slip_that_neither_receiver_reports_ends_a_pass(solved: tuple[RawOrbit, RawOrbit, EarthFrames]) -> None:
    own, partner, frames = solved
    seen = partner.combined.measurements
    pairs = Pairs(own, partner, frames, np.zeros(3))
    before = pairs.differences(partner.at(pairs.gps_ms, pairs.offset_s))
    name, middle = before.satellite[before.passes == np.bincount(before.passes[before.passes >= 0]).argmax()][0], 0
    rows = np.flatnonzero(seen.satellite == name)
    middle = int(np.median(before.gps_ms[before.satellite == name]))
    late = rows[seen.gps_ms[rows] > middle]
    phase_m = seen.phase_l1_m.copy()
    phase_m[late] += WAVELENGTHS_M[0]
    slipped = replace(partner, combined=replace(partner.combined, measurements=replace(seen, phase_l1_m=phase_m)))
    pairs = Pairs(own, slipped, frames, np.zeros(3))
    after = pairs.differences(partner.at(pairs.gps_ms, pairs.offset_s))
    assert after.pass_count > before.pass_count


def test_passes_survive_a_first_motion_that_leaves_the_orbit(solved: tuple[RawOrbit, RawOrbit, EarthFrames]) -> None:
    """In a day, forces that are those of the own orbit lead away from the partner's by metres."""
    own, partner, frames = solved
    values = own.values.copy()
    values[FIRST_NODE:] += 3e-7
    pairs = Pairs(own, partner, frames, np.zeros(3))
    before = pairs.differences(partner.at(pairs.gps_ms, pairs.offset_s))
    changed = replace(own, values=values)
    found = solve_relative(changed, partner, OrbitSettings(), frames, (0.0, 0.0, 0.0), 0.005)
    assert (found.differences.passes >= 0).sum() > 0.95 * (before.passes >= 0).sum()


def test_drift_of_the_receivers_phases_is_not_taken_for_the_ionosphere(
    solved: tuple[RawOrbit, RawOrbit, EarthFrames],
) -> None:
    """A drift is common to all satellites; the clocks of both frequencies absorb it."""
    own, partner, frames = solved
    seen = partner.combined.measurements
    drift_m = 0.05 * np.sin(2.0 * np.pi * 1e-3 * (seen.gps_ms - seen.gps_ms[0]) / 3000.0)
    drifting = replace(partner, combined=replace(
        partner.combined, measurements=replace(seen, phase_l2_m=seen.phase_l2_m + drift_m)
    ))  # fmt: skip
    found, expected = (
        solve_relative(own, other, OrbitSettings(), frames, (0.0, 0.0, 0.0), 0.005) for other in (drifting, partner)
    )
    assert len(found.integers) == len(expected.integers) > 0.9 * expected.ambiguities
    times_ms = np.unique(expected.differences.gps_ms)
    moved_m = (found.states(times_ms)[0] - expected.states(times_ms)[0])[:, :3]
    assert np.abs(moved_m).max() < 1e-3


def test_partner_of_other_hours_is_refused(solved: tuple[RawOrbit, RawOrbit, EarthFrames]) -> None:
    own, partner, frames = solved
    seen = partner.combined.measurements
    shifted = replace(partner.combined, measurements=replace(seen, gps_ms=seen.gps_ms + 86_400_000))
    with pytest.raises(RawOrbitError, match="give files of the same hours"):
        solve_relative(own, replace(partner, combined=shifted), OrbitSettings(), frames, (0.0, 0.0, 0.0), 0.005)


def test_command_writes_the_relative_position(near: Flight, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("own.rnx", "partner.rnx", "brdc.rnx")]
    contents = near.files[0].observations, near.files[1].observations, near.files[0].navigation
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    own, partner, navigation = map(str, paths)
    write_ranges(settings_of(39_101, 1.5, 5_000.0), tmp_path / "range")
    of_partner = ["--partner", partner, "--partner-ranges", str(tmp_path / "range")]
    words = [own, "--gnss-orbits", navigation, *of_partner, "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    assert "relative position: sigma 0.0" in printed.output
    # The simulator's radios delay by 1050 m and have a noise of 30 m.
    radio = re.search(r"radio: \d+ ranges minus the distance: delay ([\d.]+) m .* noise ([\d.]+) m", printed.output)
    assert radio is not None
    assert float(radio[1]) == pytest.approx(1050.0, abs=15.0)
    assert float(radio[2]) == pytest.approx(30.0, rel=0.4)
    page = (tmp_path / "out" / "report.html").read_text()
    for part in ("raw-position", "raw-phases", "raw-relative", "raw-radio", "relative position: sigma"):
        assert part in page
    file = tmp_path / "out" / "formation.parquet"
    assert json.loads(pl.read_parquet_metadata(file)["inputs"]).keys() >= {own, partner}
    table = pl.read_parquet(file)
    assert 0.0 < table["sigma_relative_t_m"].to_numpy().max() < 0.1
    assert np.abs(table["relative_t_m"].to_numpy()) == pytest.approx(np.full(len(table), 5_000.0), rel=0.05)
    without = CliRunner().invoke(app, [own, "--partner", partner, "--out", str(tmp_path / "other")])
    assert "--gnss-orbits" in without.output


def test_ranges_to_several_partners_need_the_id_of_one(tmp_path: Path) -> None:
    placed = [{"id": radio, "position_rtn_m": [0.0, 1_000.0, 0.0]} for radio in (75, 76)]
    settings = settings_from_tables({"duration_s": 600, "partners": placed}, "test")
    write_ranges(settings, tmp_path / "range")
    files = PartnerFiles((), ranges=tmp_path / "range")
    with pytest.raises(ValueError, match=r"several partners \(75, 76\); name one by --partner-radio"):
        RadioRanges.read(files, Settings())
    assert len(RadioRanges.read(replace(files, radio=76), Settings()).gps_ms) == 10
    with pytest.raises(ValueError, match="no range with a GPS time to partner 77; it has those to 75, 76"):
        RadioRanges.read(replace(files, radio=77), Settings())
