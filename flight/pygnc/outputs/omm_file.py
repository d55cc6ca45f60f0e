"""File with the orbit as mean elements, which are fitted in small steps while the orbit task is idle."""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from pygnc.configuration.run import Notify, Run
from pygnc.estimators.orbit.elements_fit import FitError, FittedElements
from pygnc.formats import omm_record
from pygnc.navigation.orbit import OrbitTracker
from pygnc_system.files import durable_write

OMM_FILE: Final = "pygnc_omm.bin"
STEPS_AT_ONCE: Final = 12
"""Number of the hundred steps of a fit between two pauses; a step takes 4 ms on a desktop core."""
PAUSE_S: Final = 44.0
"""Pause after `STEPS_AT_ONCE`, during which the libraries that the steps need are not in memory, s."""
LOOK_INTERVAL_S: Final = 2.0
"""Time from a look for new fixes to the next, s."""
PERIOD_S: Final = 1_800.0
"""Time from the end of a fit to the beginning of the next."""


class OmmFile:
    """Writer of `~/pygnc_omm.bin`, which fits mean elements to the tracker's orbit whenever there are new fixes."""

    def __init__(self, run: Run, tracker: OrbitTracker, notify: Notify) -> None:
        self._run = run
        self._tracker = tracker
        self._notify = notify
        self._steps: Iterator[FittedElements | None] | None = None
        self._next_s = 0.0
        self._fixes_fitted = 0
        self._steps_left = 0

    def advance(self, now_s: float) -> bool:
        """Do the next step of the fit if it is due, and write the file after the last; `now_s` is monotonic time.

        Returns True if the next step must follow at once.
        """
        if now_s < self._next_s:
            return False
        self._next_s = now_s + LOOK_INTERVAL_S
        if self._steps is None:
            fixes = self._tracker.counts["fixes_accepted"]
            if fixes == self._fixes_fitted:
                return False
            self._fixes_fitted = fixes
            self._steps, self._steps_left = self._tracker.fit_in_steps(), 1
        try:
            fitted = next(self._steps, None)
            if fitted is None:
                self._steps_left = (self._steps_left or STEPS_AT_ONCE) - 1
                self._next_s = now_s if self._steps_left else now_s + PAUSE_S
                return self._steps_left > 0
            self._write(fitted)
        except (FitError, OSError) as error:
            self._notify("warning", "omm_not_written", f"{OMM_FILE}: {error}; the file is not written")
        self._steps, self._next_s = None, now_s + PERIOD_S
        return False

    def _write(self, fitted: FittedElements) -> None:
        values = {**self._tracker.fit_values(fitted), "run_number": self._run.number}
        expected = self._run.settings.orbit.elements.expected_object
        elements = replace(fitted.elements, catalogue_number=int(expected) if expected.isdecimal() else 0)
        durable_write(self._run.home / OMM_FILE, omm_record.encode(elements, values))
