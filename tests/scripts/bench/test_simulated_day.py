"""Simulated hours with an unplugged cable: the log is complete but for the reported gaps."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pygnc_devices.family import family
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.vectornav_unit import VectorNavSimulator
from pygnc_instruments.simulators.xsens_unit import XsensSimulator
from scripts.bench.simulated_day import log_day, random_outages

DURATION_S = 400.0
TEN_HZ = [(0x1020, 0xFFFF), (0x1060, 0xFFFF), (0x4020, 10)]
"""Outputs of an Xsens unit: packet counter, sample time, acceleration."""
TEN_HZ_BINARY = {6: "0", 75: "1,80,05,0001,0200"}
"""Registers of a VectorNav unit: time since the start, acceleration."""


def test_outages_do_not_overlap() -> None:
    outages = random_outages(200, 86_400.0, 1)
    assert len(outages) == 200
    assert all(start_s < stop_s for start_s, stop_s in outages)
    assert all(before[1] < after[0] for before, after in pairwise(outages))
    assert max(stop_s - start_s for start_s, stop_s in outages) > 60.0


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ucb", lambda: UcbSimulator(eeprom={1: 10})),
        ("gx2", lambda: Gx2Simulator(eeprom={0xFCA6: 0xCC, 0xFCA2: 5120})),
        pytest.param("vectornav", lambda: VectorNavSimulator(registers=TEN_HZ_BINARY), marks=pytest.mark.slow),
        pytest.param("xsens", lambda: XsensSimulator(outputs=TEN_HZ), marks=pytest.mark.slow),
        pytest.param("mip", lambda: MipSimulator(formats={0x80: [(0x04, 50), (0x12, 50)]}), marks=pytest.mark.slow),
    ],
)
def test_rows_and_reported_gaps_are_all_packets(
    name: str, make: Callable[[], SimulatedUnit], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR")  # disconnections are warnings
    day = log_day(make(), family(name), 10.0, DURATION_S, random_outages(4, DURATION_S, 1), tmp_path, seed=2)
    assert day.rows + day.missing == day.sent == pytest.approx(10.0 * DURATION_S, abs=20)
    assert (day.gaps, day.backward, day.files) == (4, 0, 1)
