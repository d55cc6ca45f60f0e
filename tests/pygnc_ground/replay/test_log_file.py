"""Logs of receivers as inputs: every record comes back as it was read, in any order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.bus.messages import GnssFix
from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.inspection.log_reader import LogReader
from pygnc_ground.receivers.log import read
from pygnc_ground.replay.log_file import LogFile
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution

BEGIN_MS = 2400 * 604_800_000


@pytest.fixture(scope="module")
def fixes(tmp_path_factory: pytest.TempPathFactory) -> list[GnssFix]:
    log = tmp_path_factory.mktemp("log") / "receiver.log"
    solutions = [
        Solution(BEGIN_MS + 10_000 * number, (6.9e6, 10.0 * number, 0.0), (0.0, 7600.0, 0.1 * number))
        for number in range(200)
    ]
    log.write_bytes(fake.log(solutions, fake.bestxyzb))
    return [part for part in read(log) if isinstance(part, GnssFix)]


def test_records_come_back_in_any_order(fixes: list[GnssFix], tmp_path: Path) -> None:
    def records(_: Path) -> Iterator[GnssFix | Damage]:
        yield from fixes[:70]
        yield Damage(3, 10, DamageReason.CONTENT)
        yield from fixes[70:]

    path = tmp_path / "any.log"
    path.write_bytes(bytes(100))
    source = LogFile(path, LogReader("log", lambda _: True, records))
    assert [*source.scan()] == [None]
    assert len(source.keys) == len(fixes) == 200
    order = np.random.default_rng(1).permutation(len(fixes))
    found = source.messages(order, 8)
    expected = [replace(fixes[number], seq=8 + row, source=str(path)) for row, number in enumerate(order.tolist())]
    assert found == expected
    assert [(file.damaged_bytes, file.damaged_ranges) for file in source.files] == [(7, 1)]
