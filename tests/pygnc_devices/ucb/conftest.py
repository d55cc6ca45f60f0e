from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.ucb.driver import Ucb
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator


@pytest.fixture
def unit() -> UcbSimulator:
    return UcbSimulator(restart_s=0.3, eeprom={7: 0})


@pytest.fixture
def line(unit: UcbSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def device(line: PtyEndpoint) -> Iterator[Ucb]:
    with Ucb.open(line.url) as device:
        yield device
