from functools import cache

import msgspec
import numpy as np
import pytest

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.checkpoint import Checkpoint
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from tests.pygnc.estimators.orbit.truth import ORIENTATION, displaced, make_fixes, position_only, sun_synchronous

SETTINGS = OrbitSettings()
TRUTH = sun_synchronous()


def eventful() -> list[Fix]:
    """Waiting, start, flight, a rejected fix, position-only fixes, rejections up to a restart, flight."""
    fixes = make_fixes(TRUTH)[:60]
    fixes[1] = displaced(fixes[1], np.array((1e4, 0.0, 0.0)))
    fixes[20] = displaced(fixes[20], np.array((0.0, 1e4, 0.0)))
    fixes[25:28] = [position_only(fix) for fix in fixes[25:28]]
    fixes[40:] = [displaced(fix, np.array((0.0, 3e3, 0.0))) for fix in fixes[40:]]
    return fixes


def run_from(orbit: OrbitFilter, fixes: list[Fix]) -> Checkpoint:
    for fix in fixes:
        orbit.process(fix)
    return orbit.checkpoint()


FIXES = eventful()


@cache
def uninterrupted() -> Checkpoint:
    return run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES)


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, 21, 26, 41, 42, 43, 59])
def test_a_restored_filter_goes_on_bit_for_bit(cut: int) -> None:
    saved = run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES[:cut])
    restored = OrbitFilter.restore(SETTINGS, ORIENTATION, saved)
    assert restored.checkpoint() == saved
    assert run_from(restored, FIXES[cut:]) == uninterrupted()


def test_what_a_filter_predicted_before_does_not_matter() -> None:
    """Predictions days ahead fill the caches of frames and ephemerides with other days."""
    busy = OrbitFilter(SETTINGS, ORIENTATION)
    for fix in FIXES:
        busy.process(fix)
        if busy.state is not None and fix.seq % 20 == 0:
            for days in range(1, 6):
                busy.frames.at(fix.gps_ms + days * 86_400_000, np.zeros(1))
            busy.predict(fix.gps_ms + 600_000)
    assert busy.checkpoint() == uninterrupted()


def test_a_checkpoint_survives_a_file_format() -> None:
    saved = run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES[:42])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(saved)) == saved


def test_foreign_and_damaged_checkpoints_are_refused() -> None:
    saved = run_from(OrbitFilter(SETTINGS, ORIENTATION), FIXES[:10])
    with pytest.raises(ValueError, match="Earth orientation 'brahe'"):
        OrbitFilter.restore(SETTINGS, EarthOrientationTable.none(), saved)
    with pytest.raises(ValueError, match="version 99"):
        OrbitFilter.restore(SETTINGS, ORIENTATION, saved | {"version": 99})
    with pytest.raises(ValueError, match="rows"):
        OrbitFilter.restore(SETTINGS, ORIENTATION, saved | {"state": b"1234567"})
    with pytest.raises(ValueError, match="waiting"):
        OrbitFilter.restore(SETTINGS, ORIENTATION, saved | {"waiting": 3})
