from functools import cache

import msgspec
import numpy as np
import pytest

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.orbit.filter import FilterMemory, OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from tests.pygnc.estimators.orbit.truth import ORIENTATION, displaced, make_fixes, position_only, sun_synchronous

SETTINGS = OrbitSettings()
TRUTH = sun_synchronous()


def eventful() -> list[Fix]:
    """Return fixes that make the filter initialise, reject a fix, use positions alone and re-initialise."""
    fixes = make_fixes(TRUTH)[:60]
    fixes[1] = displaced(fixes[1], np.array((1e4, 0.0, 0.0)))
    fixes[20] = displaced(fixes[20], np.array((0.0, 1e4, 0.0)))
    fixes[25:28] = [position_only(fix) for fix in fixes[25:28]]
    fixes[40:] = [displaced(fix, np.array((0.0, 3e3, 0.0))) for fix in fixes[40:]]
    return fixes


def run_from(orbit: OrbitFilter, fixes: list[Fix]) -> bytes:
    for fix in fixes:
        orbit.process(fix)
    return encode(orbit.memory)


FIXES = eventful()


@cache
def uninterrupted() -> bytes:
    return run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES)


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, 21, 26, 41, 42, 43, 59])
def test_a_restored_filter_continues_bit_for_bit(cut: int) -> None:
    saved = run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES[:cut])
    restored = OrbitFilter(SETTINGS, ORIENTATION, decode(saved, FilterMemory))
    assert encode(restored.memory) == saved
    assert run_from(restored, FIXES[cut:]) == uninterrupted()


def test_earlier_predictions_do_not_change_the_filter() -> None:
    """Predictions days ahead fill the caches of frames and ephemerides with other days."""
    busy = OrbitFilter(SETTINGS, ORIENTATION)
    for fix in FIXES:
        busy.process(fix)
        if busy.state is not None and fix.seq % 20 == 0:
            for days in range(1, 6):
                busy.frames.at(fix.gps_ms + days * 86_400_000, np.zeros(1))
            busy.predict(fix.gps_ms + 600_000)
    assert encode(busy.memory) == uninterrupted()


def test_rejects_foreign_and_damaged_checkpoints() -> None:
    saved = run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES[:10])
    with pytest.raises(ValueError, match="Earth orientation 'brahe"):
        OrbitFilter(SETTINGS, EarthOrientationTable.none(), decode(saved, FilterMemory))
    fields = msgspec.msgpack.decode(saved)
    with pytest.raises(ValueError, match="version"):
        OrbitFilter(SETTINGS, ORIENTATION, decode(msgspec.msgpack.encode(fields | {"version": 99}), FilterMemory))
    with pytest.raises(ValueError, match="buffered"):
        OrbitFilter(SETTINGS, ORIENTATION, decode(msgspec.msgpack.encode(fields | {"buffered": 3}), FilterMemory))
    kind, shape, data = fields["state"]["x"]
    short = fields["state"] | {"x": [kind, shape, data[:-1]]}
    with pytest.raises(ValueError, match="buffer size"):
        OrbitFilter(SETTINGS, ORIENTATION, decode(msgspec.msgpack.encode(fields | {"state": short}), FilterMemory))
    with pytest.raises(ValueError, match="checkpoint"):
        OrbitFilter(SETTINGS, ORIENTATION, decode(saved[:-1], FilterMemory))
