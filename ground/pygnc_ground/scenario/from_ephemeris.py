"""Scenario along a real orbit: simulated sensors on a trajectory from a precise ephemeris."""
# mypy: disable-error-code="arg-type"
# brahe's stubs accept one instant where the functions accept many.

from dataclasses import dataclass

import brahe
import numpy as np
import numpy.typing as npt

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.scenario import earth
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.formation import Satellite
from pygnc_ground.scenario.generate import Scenario, scenario_of
from pygnc_ground.scenario.settings import Settings, Tables, settings_from_tables
from pygnc_ground.truth.ephemeris import NS_PER_MS, Ephemeris

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class EphemerisTrajectory:
    """Trajectory of a satellite, interpolated in an ephemeris."""

    ephemeris: Ephemeris
    start_gps_ms: int

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in ITRF `t_s` seconds after the start, shape (n, 6).

        Raises:
            ValueError: A time lies in a gap of the ephemeris.
        """
        after_ns = np.rint(np.asarray(t_s, dtype=np.float64) * _NS_PER_S).astype(np.int64)
        gps_ns = self.start_gps_ms * NS_PER_MS + after_ns
        states = np.concatenate(self.ephemeris.at_ns(gps_ns), axis=1)
        unknown = np.flatnonzero(np.isnan(states).any(axis=1))
        if unknown.size:
            moment = utc_iso_from_gps_ms(int(gps_ns[unknown[0]]) // NS_PER_MS)
            raise ValueError(
                f"the ephemeris has no state at {moment}; choose a begin and a duration between its gaps"
                f" ({self.ephemeris.description})"
            )
        return states

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF, shape (n, 6)."""
        instants = earth.epochs(self.start_gps_ms, t_s)
        return np.asarray(brahe.state_itrf_to_gcrf(instants, self.states_itrf(t_s))).reshape(-1, 6)


def settings_along(tables: Tables, source: str, ephemeris: Ephemeris) -> Settings:
    """Return the settings of a scenario along an ephemeris.

    Args:
        tables: Settings as read from TOML. A missing start or duration is taken from the ephemeris. Orbit, spacecraft
            and forces have no effect.
        source: Name of the settings' origin for error messages.
        ephemeris: The trajectory.

    Raises:
        ValueError: A setting is unknown, of the wrong type or out of range, there are partners, or the ephemeris does
            not cover the scenario.
    """
    first_gps_ms, last_gps_ms = ephemeris.span_gps_ms
    # Whole seconds of GPS time and of UTC coincide.
    own_span: Tables = {"start_utc": utc_iso_from_gps_ms(-(-first_gps_ms // 1000) * 1000)}
    start = settings_from_tables(own_span | tables, source).start_gps_ms
    own_span |= {"duration_s": max((last_gps_ms - start) // 1000, 1)}
    settings = settings_from_tables(own_span | tables, source)
    if settings.partners:
        raise ValueError(f"{source}: an ephemeris describes one satellite only; remove the partners from the settings")
    if start < first_gps_ms or start + 1000 * settings.duration_s > last_gps_ms:
        begin, end = (utc_iso_from_gps_ms(gps_ms) for gps_ms in (first_gps_ms, last_gps_ms))
        raise ValueError(
            f"the ephemeris covers {begin} to {end}, not the {settings.duration_s} s from {settings.start_utc};"
            " change begin or duration"
        )
    return settings


def generate_along(settings: Settings, ephemeris: Ephemeris) -> Scenario:
    """Generate a scenario of one satellite that moves along an ephemeris.

    Raises:
        ValueError: The scenario is shorter than one record, the Earth orientation is unknown at its time, the ephemeris
            has a gap, or a value does not fit the file format.
    """
    if settings.duration_s < settings.record_s:
        raise ValueError(f"the duration of {settings.duration_s} s is shorter than one record of {settings.record_s} s")
    earth.require_coverage(settings.start_gps_ms, settings.start_gps_ms + 1000 * settings.duration_s)
    path = EphemerisTrajectory(ephemeris, settings.start_gps_ms)
    satellite = Satellite(settings.formation.own_id, settings, path, None)
    return scenario_of(settings, satellite, (satellite,))
