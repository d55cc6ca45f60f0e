"""Fixes of the first hour of a sun-synchronous orbit, and the errors of the filter that processes them unchanged."""

from tests.pygnc.estimators.orbit.truth import make_fixes, position_errors, run, sun_synchronous

TRUTH = sun_synchronous()
HOUR = 144
FIXES = make_fixes(TRUTH)[: HOUR + 20]
CLEAN = position_errors(run(FIXES)[1], TRUTH)
