"""GPS times of range packets: against the truth of scenarios, against a recording, across boots and damage."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from pygnc.bus.messages import BatchEnd, GnssFix, Message, RangeMeasurement
from pygnc.common.clock import MS_PER_WEEK, SPACECRAFT_RESTART_S
from pygnc.configuration.settings import Settings
from pygnc.inputs.batch import find_sources, record_messages
from pygnc.navigation.range_clock import ALONE_S, HELD_MAX, RangeClock
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.generate import scenario_of
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.writer import write_scenario
from tests.reference import recording

START_MS = 2358 * MS_PER_WEEK + 1000
BOOT_S = SPACECRAFT_RESTART_S + 500


def fix(gps_ms: int | None, t_spacecraft_s: int | None = None, satellite_id: int = 0) -> GnssFix:
    vector = (0.0, 0.0, 0.0)
    return GnssFix(
        seq=1,
        source="",
        offset=0,
        t_spacecraft_s=t_spacecraft_s,
        kind="range_gps",
        gps_ms=gps_ms,
        time_sigma_s=None,
        position_solution="computed",
        position_ecef_m=vector,
        position_sigma_m=vector,
        velocity_solution="computed",
        velocity_ecef_mps=vector,
        velocity_sigma_mps=vector,
        velocity_latency_s=0.0,
        differential_age_s=0.0,
        solution_age_s=0.0,
        satellites_tracked=8,
        satellites_used=8,
        raw=b"",
        satellite_id=satellite_id,
    )


def ranged(t_spacecraft_s: int, satellite_id: int = 0, seq: int = 1) -> RangeMeasurement:
    return RangeMeasurement(
        seq=seq,
        source="",
        offset=0,
        partner_id=77,
        rssi_dbm=-60.0,
        t_spacecraft_s=t_spacecraft_s,
        frequency_error_hz=0.0,
        range_m=2000.0,
        raw=b"",
        satellite_id=satellite_id,
    )


def groups(count: int, *, boot_s: int = BOOT_S, first_ms: int = START_MS, satellite_id: int = 0) -> list[Message]:
    """A GPS packet and a range each minute."""
    messages: list[Message] = []
    for k in range(count):
        messages += [
            fix(first_ms + 60_000 * k, satellite_id=satellite_id),
            ranged(boot_s + 60 * k, satellite_id, seq=2 * k + 2),
        ]
    return messages


def run(clock: RangeClock, messages: list[Message]) -> list[tuple[RangeMeasurement, int]]:
    return [timed for message in messages for timed in clock.process(message)]


def offsets_ms(timed: list[tuple[RangeMeasurement, int]]) -> list[int]:
    return [gps_ms - 1000 * measurement.t_spacecraft_s for measurement, gps_ms in timed]


def in_order(home: Path) -> Iterator[Message]:
    sources, _ = find_sources(home, Settings())
    for source in sources:
        for _ in source.scan():
            pass
    last_seq = 0
    for messages in record_messages(sources, 0):
        yield from messages
        last_seq += len(messages)
    yield BatchEnd(seq=last_seq + 1, cause="")


def errors_ms(timed: list[tuple[RangeMeasurement, int]], truth: pl.DataFrame) -> NDArray[np.int64]:
    """Distance of each range's time from the nearest true one to the same partner, a minute apart."""
    true_ms = (truth["gps_week"].cast(pl.Int64) * MS_PER_WEEK + truth["gps_tow_ms"]).to_numpy()
    partner = truth["partner_id"].to_numpy()
    errors = [np.abs(true_ms[partner == measurement.partner_id] - gps_ms).min() for measurement, gps_ms in timed]
    return np.array(errors, dtype=np.int64)


def test_all_ranges_of_four_satellites_are_timed_within_a_second(tmp_path: Path) -> None:
    whole = settings_from_tables(preset_tables("formation4"), "formation4")
    preset = msgspec.structs.replace(whole, duration_s=1800)
    everyone = satellites(preset)
    write_scenario(preset, [scenario_of(preset, satellite, everyone) for satellite in everyone], tmp_path / "all")
    home = tmp_path / "all" / "74"
    for partner in (75, 76, 77):
        (tmp_path / "all" / str(partner) / "range").rename(home / "range" / f"partner_{partner}")
    clock = RangeClock()
    timed = run(clock, list(in_order(home)))
    assert clock.discarded == 0
    for satellite in (0, 75, 76, 77):
        truth = pl.read_parquet(tmp_path / "all" / str(satellite or 74) / "range_truth.parquet")
        of_satellite = [each for each in timed if each[0].satellite_id == satellite]
        assert len(of_satellite) == len(truth) == 90
        assert errors_ms(of_satellite, truth).max() <= 1000


@pytest.mark.slow
def test_jumps_a_reboot_and_damage_cost_few_ranges_and_mistime_none(tmp_path: Path) -> None:
    preset = settings_from_tables(preset_tables("dirty"), "dirty")
    (satellite, *_) = everyone = satellites(preset)
    write_scenario(preset, [scenario_of(preset, satellite, everyone)], tmp_path / "dirty")
    messages = list(in_order(tmp_path / "dirty"))
    clock = RangeClock()
    timed = run(clock, messages)
    ranges = sum(isinstance(message, RangeMeasurement) for message in messages)
    assert len(timed) + clock.discarded == ranges
    assert len(timed) > 0.95 * ranges
    assert errors_ms(timed, pl.read_parquet(tmp_path / "dirty" / "range_truth.parquet")).max() <= 1000


def test_the_recorded_ranges_have_the_recordings_one_offset(tmp_path: Path) -> None:
    (tmp_path / "range.bin").write_bytes(recording("recorded_range.bin").read_bytes())
    clock = RangeClock()
    timed = run(clock, list(in_order(tmp_path)))
    assert len(timed) == 20
    assert clock.discarded == 0
    # GPS time read as Unix time minus spacecraft time, as others found it: 747 519 639 s; GPS time began in 1980.
    assert all(abs(offset / 1000 - (747_519_639 - 315_964_800)) <= 1.0 for offset in offsets_ms(timed))


def test_our_own_clock_is_mapped_by_sense_records_where_there_are_any() -> None:
    late = [fix(START_MS), ranged(BOOT_S + 5)]  # five seconds after its GPS packet
    sense: list[Message] = [fix(START_MS + 25_000 * k, BOOT_S + 25 * k) for k in range(4)]
    timed = run(RangeClock(), [*sense, *late])
    assert [gps_ms for _, gps_ms in timed] == [START_MS + 5000]


def test_a_partner_is_timed_by_its_own_packets_only() -> None:
    partner = groups(4, boot_s=BOOT_S + 40_000, satellite_id=75)
    mixed = [message for pair in zip(groups(4), partner, strict=True) for message in pair]
    timed = run(RangeClock(), mixed)
    assert len(timed) == 8
    assert {measurement.satellite_id for measurement, _ in timed} == {0, 75}
    for measurement, gps_ms in timed:
        boot_s = BOOT_S + (40_000 if measurement.satellite_id else 0)
        assert gps_ms == START_MS + 1000 * (measurement.t_spacecraft_s - boot_s)


def test_a_reboot_begins_a_new_map_and_its_first_ranges_wait_for_it() -> None:
    after = groups(5, boot_s=SPACECRAFT_RESTART_S + 20, first_ms=START_MS + 600_000)
    clock = RangeClock()
    timed = run(clock, [*groups(10), *after])
    assert len(timed) == 15
    assert clock.discarded == 0
    assert [gps_ms for _, gps_ms in timed] == [START_MS + 60_000 * k for k in range(15)]


@pytest.mark.parametrize("damaged", [fix(START_MS + 10**9), fix(None), fix(START_MS + 7 * 60_000 - 30_000)])
def test_a_damaged_time_of_a_group_does_not_pull_the_map(damaged: GnssFix) -> None:
    messages = groups(12)
    messages[14] = damaged
    timed = run(RangeClock(), messages)
    assert [gps_ms for _, gps_ms in timed] == [START_MS + 60_000 * k for k in range(12)]


def test_discards_a_range_with_a_damaged_spacecraft_time() -> None:
    messages = groups(12)
    messages[15] = ranged(BOOT_S + 123_456)
    clock = RangeClock()
    timed = run(clock, messages)
    assert len(timed) == 11
    assert clock.discarded == 1
    assert set(offsets_ms(timed)) == {START_MS - 1000 * BOOT_S}


def test_ranges_before_the_receiver_knows_the_time_get_theirs_later() -> None:
    unknown: list[Message] = [message for k in range(4) for message in (fix(None), ranged(BOOT_S - 240 + 60 * k))]
    timed = run(RangeClock(), [*unknown, *groups(3)])
    assert [gps_ms for _, gps_ms in timed] == [START_MS + 60_000 * (k - 4) for k in range(7)]
    long_before = [fix(None), ranged(BOOT_S - ALONE_S - 600)]
    assert len(run(RangeClock(), [*long_before, *groups(4)])) == 4


def test_two_groups_get_times_at_the_end_of_the_batch() -> None:
    clock = RangeClock()
    assert run(clock, groups(2)) == []
    assert len(clock.process(BatchEnd(seq=9, cause=""))) == 2


def test_without_any_gps_time_a_bounded_number_is_held() -> None:
    clock = RangeClock()
    messages: list[Message] = [message for k in range(HELD_MAX + 9) for message in (fix(None), ranged(BOOT_S + k))]
    assert run(clock, messages) == []
    assert clock.discarded == 9
