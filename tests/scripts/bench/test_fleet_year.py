"""A month of a small fleet with the faults of the simulated year."""

from pathlib import Path

import pytest

from scripts.bench.fleet_fault_run import DAY_S
from scripts.bench.fleet_year import YEAR, FleetYear

MONTH = YEAR._replace(
    stations=4,
    days=30,
    round_s=DAY_S,
    faults={fault: min(count, 4) for fault, count in YEAR.faults.items()} | {"clock steps": 20},
    disk_bytes=400_000_000,
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_reading_of_a_month_with_faults_arrives_once(tmp_path: Path, seed: int) -> None:
    year = FleetYear(tmp_path, MONTH, seed)
    rows = list(year.run())
    assert [row for row in rows if row.holds is False] == []
    assert {fault for fault in MONTH.faults if fault != "full disks"} <= year.done.keys()
    assert sum(len(station.acknowledged) for station in year.stations) > 4 * 30 * 20
