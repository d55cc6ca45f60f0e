"""Fixtures: simulated devices at pseudo-terminals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator


@pytest.fixture
def unit() -> UcbSimulator:
    return UcbSimulator(eeprom={7: 0}, restart_s=0.01, erase_s=0.05)


@pytest.fixture
def line(unit: UcbSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def gx2(tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(Gx2Simulator(eeprom={0xFCA6: 0xCC}), tmp_path / "gx2") as line:
        yield line
