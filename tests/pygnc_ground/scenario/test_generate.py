"""Whole scenarios: the files as read by the flight, against their truth."""

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.common.clock import gps_ms_from_weeks
from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.ranges import decode_ranges
from pygnc.formats.sense import TORQUERS_ON, SenseLayout, decode_sensors
from pygnc.formats.sense_scan import scan as scan_sense
from pygnc_ground.scenario.generate import Scenario, clock_readings_s, generate, generate_all, sample_delays_s
from pygnc_ground.scenario.imu import torquers_on
from pygnc_ground.scenario.sensor_settings import Gps, Imu, SpacecraftClock, Torquers
from pygnc_ground.scenario.settings import Forces, Formation, Partner, Ranging, Settings, noise_generator, partner_seed

PARTNERS = (
    Partner(id=0x4B, position_rtn_m=(0.0, 1500.0, 0.0), delay_bias_m=1050.0),
    Partner(id=0x4D, position_rtn_m=(0.0, -800.0, 200.0), delay_bias_m=900.0, frequency_offset_hz=-50.0),
)
LIGHT = Forces(gravity_degree=2, drag=False, radiation_pressure=False)
SETTINGS = Settings(duration_s=7200, partners=PARTNERS, ranging=Ranging(interval_s=40))
SATURATION_LUX = 83_865.60


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return generate(SETTINGS)


def test_the_sense_file_has_a_record_every_25_s(scenario: Scenario) -> None:
    records = np.frombuffer(scenario.sense, SenseLayout().record)
    assert len(records) == 7200 // 25
    t_s = decode_sensors(records).t_spacecraft_s
    assert np.all(np.diff(t_s.ravel()) == 5)
    np.testing.assert_array_equal(decode_gps_packets(records["gps"]).t_spacecraft_s, t_s[:, 4])


def test_decoded_fixes_scatter_about_the_truth_with_the_reported_sigma(scenario: Scenario) -> None:
    fixes = decode_gps_packets(np.frombuffer(scenario.sense, SenseLayout().record)["gps"])
    at_fixes = slice(4, None, 5)
    truth = scenario.truth
    np.testing.assert_array_equal(gps_ms_from_weeks(fixes.gps_week, fixes.gps_tow_ms), truth.gps_ms[at_fixes])
    position_error = (fixes.position_ecef_m - truth.position_ecef_m[at_fixes]) / fixes.position_sigma_m
    # The velocity is that of 0.15 s earlier; over so short a time the orbit is a parabola.
    earlier_mps = truth.velocity_ecef_mps - 0.15 * np.gradient(truth.velocity_ecef_mps, 5.0, axis=0)
    velocity_error = (fixes.velocity_ecef_mps - earlier_mps[at_fixes]) / fixes.velocity_sigma_mps
    for error in (position_error, velocity_error):
        assert np.abs(error.mean()) < 4.0 / np.sqrt(error.size)
        assert error.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(2.0 * error.size))


def test_decoded_ranges_are_distance_and_delay_and_noise(scenario: Scenario) -> None:
    found = scan_ranges(scenario.ranges)
    assert not found.damage
    ranges, truth = decode_ranges(found.ranges), scenario.true_ranges
    assert truth is not None
    np.testing.assert_array_equal(ranges.partner_id, truth.partner_id)
    for partner in PARTNERS:
        mine = ranges.partner_id == partner.id
        distance_m = truth.distance_m[mine]
        error_m = ranges.range_m[mine] - distance_m - partner.delay_bias_m
        assert abs(error_m.mean()) < 4.0 * 30.0 / np.sqrt(180)
        assert error_m.std() == pytest.approx(30.0, rel=0.22)
        assert {*truth.delay_bias_m[mine].tolist()} == {partner.delay_bias_m}
        # 8 Hz per m/s of the distance's change, and half a count of 0.775 Hz.
        shift_hz = -8.139 * np.gradient(distance_m, 40.0)
        np.testing.assert_allclose(ranges.frequency_error_hz[mine] - partner.frequency_offset_hz, shift_hz, atol=0.5)
        # Free space at 2.44 GHz: 100.2 dB at 1 km.
        expected_dbm = 12.5 - 100.2 - 20.0 * np.log10(distance_m / 1000.0)
        np.testing.assert_allclose(ranges.rssi_dbm[mine], expected_dbm, atol=0.35)
        assert distance_m[0] == pytest.approx(np.linalg.norm(partner.position_rtn_m or ()), rel=0.01)


def test_both_files_use_the_same_clock(scenario: Scenario) -> None:
    fixes = decode_gps_packets(np.frombuffer(scenario.sense, SenseLayout().record)["gps"])
    assert fixes.t_spacecraft_s is not None
    offset_ms = gps_ms_from_weeks(fixes.gps_week, fixes.gps_tow_ms) - 1000 * fixes.t_spacecraft_s
    truth = scenario.true_ranges
    assert truth is not None
    t_spacecraft_s = decode_ranges(scan_ranges(scenario.ranges).ranges).t_spacecraft_s
    assert {*offset_ms.tolist()} == {*(truth.gps_ms - 1000 * t_spacecraft_s).tolist()}


def test_equal_settings_make_equal_bytes_and_another_seed_makes_others() -> None:
    first, again, other = (generate(Settings(seed=seed, duration_s=120, partners=PARTNERS[:1])) for seed in (5, 5, 6))
    assert (first.sense, first.ranges) == (again.sense, again.ranges)
    assert first.sense != other.sense
    assert first.ranges != other.ranges
    np.testing.assert_array_equal(first.truth.position_gcrf_m, other.truth.position_gcrf_m)


def test_a_sensor_changed_or_added_leaves_the_noise_of_the_others() -> None:
    plain = generate(Settings(duration_s=120))
    changed = generate(
        Settings(
            duration_s=120,
            partners=PARTNERS,
            ranging=Ranging(interval_s=30),
            gps=Gps(cold_start_s=60.0),
            imu=Imu(gyro_noise_deg_s=1.0),
            clock=SpacecraftClock(boot_before_start_s=0.0),
        )
    )
    before, after = (decode_sensors(np.frombuffer(made.sense, SenseLayout().record)) for made in (plain, changed))
    np.testing.assert_array_equal(before.mag_imu_ut, after.mag_imu_ut)
    np.testing.assert_array_equal(before.lux, after.lux)
    assert np.any(before.gyro_imu_rad_s != after.gyro_imu_rad_s)


def test_a_longer_scenario_begins_like_the_shorter_one() -> None:
    short, long = (generate(Settings(duration_s=duration_s)) for duration_s in (100, 200))
    assert long.sense.startswith(short.sense[: 3 * SenseLayout().size])


def test_delays_apply_to_time_stamp_truth_and_fix_alike() -> None:
    clock = SpacecraftClock(boot_before_start_s=100.0, jitter_s=3, jitter_rate=0.3)
    made = generate(Settings(duration_s=5000, forces=LIGHT, clock=clock, gps=Gps(position_noise_m=0.0)))
    found = scan_sense(made.sense)
    assert len(found.records) == 200
    assert not found.damage
    t_s = decode_sensors(found.records).t_spacecraft_s.ravel() - 946_684_800 - 100
    late_s = t_s - 5 * np.arange(1000)
    assert {*late_s.tolist()} == {0, 1, 2, 3}
    np.testing.assert_array_equal(made.truth.gps_ms - made.truth.gps_ms[0], 1000 * (t_s - t_s[0]))
    fixes = decode_gps_packets(found.records["gps"])
    np.testing.assert_allclose(fixes.position_ecef_m, made.truth.position_ecef_m[4::5], atol=1e-6)
    assert {*(fixes.gps_tow_ms - fixes.gps_tow_ms[0] - 1000 * (t_s[4::5] - t_s[4])).tolist()} == {0}


def test_clock_steps_and_reboots_reach_both_files() -> None:
    clock = SpacecraftClock(boot_before_start_s=5000.0, jumps_s=((1000.0, -1760.0),), reboots_s=(2000.0,))
    made = generate(Settings(duration_s=3000, forces=LIGHT, clock=clock, partners=PARTNERS[:1]))
    sense_s = decode_sensors(scan_sense(made.sense).records).t_spacecraft_s.ravel() - 946_684_800
    range_s = decode_ranges(scan_ranges(made.ranges).ranges).t_spacecraft_s - 946_684_800
    for shown_s, true_s in ((sense_s, 5 * np.arange(600)), (range_s, 60 * np.arange(1, 51))):
        expected_s = np.where(true_s < 1000, true_s + 5000, np.where(true_s < 2000, true_s + 3240, true_s - 2000))
        np.testing.assert_array_equal(shown_s, expected_s)


def test_every_satellite_of_a_formation_gets_its_own_files() -> None:
    settings = Settings(
        duration_s=3000,
        forces=LIGHT,
        formation=Formation(all_satellites=True, own_id=0x4A),
        partners=PARTNERS,
    )
    flights = generate_all(settings)
    assert [flight.satellite_id for flight in flights] == [0x4A, 0x4B, 0x4D]
    alone = generate(settings)
    assert (flights[0].sense, flights[0].ranges) == (alone.sense, alone.ranges)

    errors_m, clocks = [], set()
    for flight in flights:
        fixes = decode_gps_packets(scan_sense(flight.sense).records["gps"])
        assert fixes.t_spacecraft_s is not None
        errors_m.append((fixes.position_ecef_m - flight.truth.position_ecef_m[4::5]).ravel())
        clocks.add(int(fixes.t_spacecraft_s[0]))
        np.testing.assert_array_equal(flight.truth.gps_ms, flights[0].truth.gps_ms)
        np.testing.assert_allclose(np.std(errors_m[-1]), 10.0, rtol=0.15)
    assert len(clocks) == 2, "two boot times, one of them the default of both partners"
    assert np.abs(np.corrcoef(errors_m) - np.eye(3)).max() < 4.0 / np.sqrt(360)

    measured = {}
    for flight in flights:
        truth, ranges = flight.true_ranges, decode_ranges(scan_ranges(flight.ranges).ranges)
        assert truth is not None
        for other in {*truth.partner_id.tolist()}:
            mine = truth.partner_id == other
            error_m = (ranges.range_m - truth.distance_m - truth.delay_bias_m)[mine]
            measured[flight.satellite_id, other] = truth.distance_m[mine], truth.delay_bias_m[mine], error_m
    assert len(measured) == 6
    for (one, other), (distance_m, bias_m, error_m) in measured.items():
        back = measured[other, one]
        np.testing.assert_allclose(distance_m, back[0], atol=1e-6)
        np.testing.assert_array_equal(bias_m, back[1])
        assert abs(np.corrcoef(error_m, back[2])[0, 1]) < 4.0 / np.sqrt(50)


def test_without_partners_there_are_no_ranges() -> None:
    made = generate(Settings(duration_s=60))
    assert made.ranges == b""
    assert made.true_ranges is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Settings(duration_s=24), "shorter than one record"),
        (Settings(start_utc="2055-01-01T00:00:00Z"), "cover 1980"),
    ],
)
def test_impossible_scenarios_are_rejected(settings: Settings, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        generate(settings)


def test_the_clock_counts_whole_seconds_from_2000_at_boot() -> None:
    clock = SpacecraftClock(boot_before_start_s=5130.4)
    assert clock_readings_s(clock, [0, 0.5, 0.6, 25]).tolist() == [946_689_930, 946_689_930, 946_689_931, 946_689_955]


def test_the_clock_drifts_at_the_configured_rate() -> None:
    clock = SpacecraftClock(boot_before_start_s=0.5, drift_ppm=-100.0)
    true_s = np.arange(0, 100_000, 1000)
    lost_s = true_s - (clock_readings_s(clock, true_s) - 946_684_800)
    np.testing.assert_allclose(lost_s, 1e-4 * true_s, atol=0.6)


def test_the_clock_jumps_by_the_configured_steps() -> None:
    clock = SpacecraftClock(boot_before_start_s=5000.0, jumps_s=((100.0, -1760.0), (200.0, 30.5)))
    assert clock_readings_s(clock, [99, 100, 199, 200]).tolist() == [
        946_689_899,
        946_688_140,
        946_688_239,
        946_688_270,
    ]


def test_a_reboot_restarts_the_clock_and_discards_earlier_jumps() -> None:
    clock = SpacecraftClock(boot_before_start_s=5000.0, jumps_s=((100.0, 1e6), (400.0, 7.0)), reboots_s=(350.5, 300.0))
    since_2000_s = clock_readings_s(clock, [299, 300, 310, 351, 399, 400]) - 946_684_800
    assert since_2000_s.tolist() == [1_005_299, 0, 10, 0, 48, 56]


def test_late_samples_have_the_configured_rate_and_delay() -> None:
    late_s = sample_delays_s(SpacecraftClock(jitter_s=3, jitter_rate=0.1), 20_000, seed=1)
    assert {*late_s.tolist()} == {0, 1, 2, 3}
    # Four standard errors of a count of 2000, and of a third of it.
    assert abs(np.count_nonzero(late_s) - 2000) < 4 * np.sqrt(1800)
    assert np.all(np.abs(np.bincount(late_s)[1:] - 667) < 4 * np.sqrt(645))
    assert not sample_delays_s(SpacecraftClock(), 100, seed=1).any()


def test_a_stream_depends_on_seed_and_name() -> None:
    def draw(seed: int, sensor: str) -> float:
        return float(noise_generator(seed, sensor).standard_normal())

    assert draw(1, "gyro") == draw(1, "gyro")
    assert len({draw(1, "gyro"), draw(2, "gyro"), draw(1, "magnetometer")}) == 3


def test_each_partner_has_a_seed_of_its_own() -> None:
    assert partner_seed(1, 75) == partner_seed(1, 75)
    assert len({1, 2, partner_seed(1, 75), partner_seed(2, 75), partner_seed(1, 76)}) == 5


def test_samples_at_any_fraction_of_a_second_have_whole_or_declared_times() -> None:
    clock = SpacecraftClock(sub_second="unknown")
    short = Settings(duration_s=3600, forces=LIGHT, clock=clock)
    unknown, declared = (
        generate(replace(short, clock=replace(clock, sub_second=kind))) for kind in ("unknown", "declared")
    )
    after_ms = unknown.truth.gps_ms - short.start_gps_ms
    assert len(np.unique(after_ms % 1000)) > 400
    np.testing.assert_array_equal(declared.truth.gps_ms, unknown.truth.gps_ms)
    record = SenseLayout().record
    rows = [np.frombuffer(made.sense, record) for made in (unknown, declared)]
    by_tag, by_ms = (decode_sensors(records) for records in rows)
    fix_s = decode_gps_packets(rows[0]["gps"]).t_spacecraft_s
    assert fix_s is not None
    first_fix_s = fix_s[0]
    tag_ms = 1000 * (by_tag.t_spacecraft_s.ravel() - first_fix_s) + 20_000
    # The clock's reading at the start ends in 0.4 s.
    assert -400 <= (after_ms - tag_ms).min() < -300
    assert 500 < (after_ms - tag_ms).max() <= 600
    declared_ms = 1000 * (by_ms.t_spacecraft_s.ravel() - first_fix_s) + 20_000 + by_ms.hall_raw.ravel()
    np.testing.assert_array_equal(declared_ms, after_ms)


def test_declared_torquers_are_flagged_in_the_hall_word() -> None:
    torquers = Torquers(field_ut=20.0, duty=0.5, declared=True)
    made = generate(Settings(duration_s=3600, forces=LIGHT, torquers=torquers))
    words = decode_sensors(np.frombuffer(made.sense, SenseLayout().record)).hall_raw.ravel()
    on = torquers_on(torquers, np.linspace(0.0, 5.0 * len(words), len(words), endpoint=False), seed=1)
    np.testing.assert_array_equal(words, np.where(on, TORQUERS_ON, 0))
