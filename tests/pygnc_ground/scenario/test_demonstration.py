"""The demonstration batch in data/demo is reproducible from its own settings.

The noise comes from integers and must be identical everywhere. The truth may change by the last bits of a processor's
sine function, or with a newer Earth orientation table in brahe; the tolerances for this are stated here.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.ranges import decode_ranges
from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc_ground.scenario.generate import Scenario, generate
from pygnc_ground.scenario.presets import scenario_settings

DEMO = Path(__file__).parents[3] / "data" / "demo"
TRUTH_MAY_MOVE_M = 0.02
TRUTH_MAY_MOVE_MPS = 2e-5
ROUNDING_M = 2e-6
ROUNDING_MPS = 2e-8
WHOLE_FIELDS = (
    "t_spacecraft_s",
    "time_status",
    "gps_week",
    "gps_tow_ms",
    "position_status",
    "position_sigma_m",
    "velocity_status",
    "velocity_sigma_mps",
    "velocity_latency_s",
    "satellites_tracked",
    "satellites_used",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def remade() -> Scenario:
    return generate(scenario_settings(None, DEMO / "scenario.toml"))


@pytest.fixture(scope="module")
def kept_records() -> npt.NDArray[np.void]:
    return np.fromfile(DEMO / "sense.bin", SenseLayout().record)


def kept_truth(*names: str) -> npt.NDArray[np.float64]:
    return pl.read_parquet(DEMO / "truth.parquet", columns=list(names)).select(names).to_numpy()


def kept_ranges() -> bytes:
    return b"".join(path.read_bytes() for path in sorted((DEMO / "range").iterdir()))


def test_the_truth_file_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 250_000


def test_it_is_three_nominal_hours(kept_records: npt.NDArray[np.void]) -> None:
    assert len(kept_records) == 432
    assert (DEMO / "sense.bin").stat().st_size == 432 * 251
    found = scan_ranges(kept_ranges())
    assert not found.damage
    assert len(found.ranges) == 2 * len(found.fixes) == 2 * 10_800 // 50
    assert (DEMO / "range" / "rng00000.bin").stat().st_size == 25_600, "the first file ends inside a packet"


def test_every_whole_number_is_remade_exactly(remade: Scenario, kept_records: npt.NDArray[np.void]) -> None:
    records = np.frombuffer(remade.sense, SenseLayout().record)
    kept, again = decode_gps_packets(kept_records["gps"]), decode_gps_packets(records["gps"])
    for name in WHOLE_FIELDS:
        np.testing.assert_array_equal(getattr(kept, name), getattr(again, name), err_msg=name)
    np.testing.assert_array_equal(kept_records["sensors"]["t_spacecraft_s"], records["sensors"]["t_spacecraft_s"])
    np.testing.assert_array_equal(kept_records["terminator"], records["terminator"])


def test_the_truth_is_remade(remade: Scenario) -> None:
    at_fixes, truth = slice(4, None, 5), remade.truth
    for frame in ("ecef", "gcrf"):
        position_m = kept_truth(*(f"{axis}_{frame}_m" for axis in "xyz"))
        velocity_mps = kept_truth(*(f"v{axis}_{frame}_mps" for axis in "xyz"))
        again_m, again_mps = getattr(truth, f"position_{frame}_m"), getattr(truth, f"velocity_{frame}_mps")
        np.testing.assert_allclose(position_m, again_m[at_fixes], atol=TRUTH_MAY_MOVE_M, rtol=0)
        np.testing.assert_allclose(velocity_mps, again_mps[at_fixes], atol=TRUTH_MAY_MOVE_MPS, rtol=0)
    quaternion = kept_truth(*(f"q{part}_gcrf_from_body" for part in "wxyz"))
    np.testing.assert_allclose(quaternion, truth.quaternion_gcrf_from_body[at_fixes], atol=1e-9, rtol=0)


def test_the_noise_of_the_fixes_is_identical(remade: Scenario, kept_records: npt.NDArray[np.void]) -> None:
    kept = decode_gps_packets(kept_records["gps"])
    again = decode_gps_packets(np.frombuffer(remade.sense, SenseLayout().record)["gps"])
    at_fixes = slice(4, None, 5)
    kept_noise_m = kept.position_ecef_m - kept_truth("x_ecef_m", "y_ecef_m", "z_ecef_m")
    noise_m = again.position_ecef_m - remade.truth.position_ecef_m[at_fixes]
    np.testing.assert_allclose(kept_noise_m, noise_m, atol=ROUNDING_M, rtol=0)
    # Of the velocity, noise and what changes during the latency; the latter is the same for both to a micrometre.
    kept_noise_mps = kept.velocity_ecef_mps - kept_truth("vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps")
    noise_mps = again.velocity_ecef_mps - remade.truth.velocity_ecef_mps[at_fixes]
    np.testing.assert_allclose(kept_noise_mps, noise_mps, atol=ROUNDING_MPS, rtol=0)


def test_the_sensors_are_remade_to_one_count(remade: Scenario, kept_records: npt.NDArray[np.void]) -> None:
    records = np.frombuffer(remade.sense, SenseLayout().record)
    for name in ("mag", "gyro", "hall"):
        difference = kept_records["sensors"][name].astype(int) - records["sensors"][name]
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.01
    kept, again = decode_sensors(kept_records).lux, decode_sensors(records).lux
    np.testing.assert_allclose(kept, again, rtol=2**-10, atol=0.02)
    assert np.mean(kept != again) < 0.01


def test_the_ranges_are_remade_to_one_count(remade: Scenario) -> None:
    kept, again = scan_ranges(kept_ranges()), scan_ranges(remade.ranges)
    np.testing.assert_array_equal(kept.kinds, again.kinds)
    ranges, ranges_again = decode_ranges(kept.ranges), decode_ranges(again.ranges)
    np.testing.assert_array_equal(ranges.partner_id, ranges_again.partner_id)
    np.testing.assert_array_equal(ranges.t_spacecraft_s, ranges_again.t_spacecraft_s)
    np.testing.assert_allclose(ranges.range_m, ranges_again.range_m, atol=0.06)
    np.testing.assert_allclose(ranges.rssi_dbm, ranges_again.rssi_dbm, atol=0.5)
