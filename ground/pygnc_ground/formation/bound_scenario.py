"""Bound of a scenario's formation, and how it is shown."""

import numpy as np
from rich.table import Table

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.formation.bound import (
    FormationBound,
    FormationPriors,
    FormationSightings,
    RangeSightings,
    formation_bound,
    linearise_formation,
)
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.scenario.formation import Satellite, satellites
from pygnc_ground.scenario.gps import Reception, receptions
from pygnc_ground.scenario.settings import Settings

_LEAST_RANGE_NOISE_M = 1e-3
_LEAST_FIX_NOISE = (1e-3, 1e-6)
"""Of scenarios without noise, in m and m/s."""


def bound_of_scenario(
    scenario: Settings, settings: OrbitSettings, frames: EarthFrames
) -> tuple[FormationBound, tuple[int, ...]]:
    """Bound from the fixes of the sense and range files and all ranges, and the partners' radio ids.

    Partners' fixes and their ranges to each other count if the scenario makes their files. Every exchange gives a
    range and every fix a velocity, outliers are left out.

    Raises:
        ValueError: There are no partners.
    """
    everyone = satellites(scenario)
    if len(everyone) < 2:
        raise ValueError("the scenario has no [[partners]]")
    interval_s, record_s = scenario.ranging.interval_s, scenario.record_s
    exchanges_s = np.arange(interval_s, scenario.duration_s + 1, interval_s)
    t_s = np.union1d(exchanges_s, np.arange(record_s, scenario.duration_s + 1, record_s))
    shown = len(everyone) if scenario.formation.all_satellites else 1
    fix_sigma = np.full((len(everyone), len(t_s), 6), np.inf)
    for number, satellite in enumerate(everyone[:shown]):
        fix_sigma[number, _has_fix(satellite, t_s)] = _fix_sigma(scenario)
    links = [(one, other) for one in range(shown) for other in range(len(everyone)) if one != other]
    row = np.repeat(np.searchsorted(t_s, exchanges_s), len(links))
    one, other = (np.tile(np.array(end), len(exchanges_s)) for end in zip(*links, strict=True))
    sigma_m = np.full(len(row), max(scenario.ranging.noise_m, _LEAST_RANGE_NOISE_M))
    states = np.stack([satellite.path.states_gcrf(t_s) for satellite in everyone])
    motion = linearise_formation(scenario.start_gps_ms + 1000 * t_s, states, settings, frames)
    sightings = FormationSightings(fix_sigma, RangeSightings(row, one, other, sigma_m))
    return formation_bound(motion, sightings, FormationPriors()), tuple(each.id for each in everyone[1:])


def as_json(bound: FormationBound, partners: tuple[int, ...]) -> dict[str, object]:
    """For programs; standard deviations, RMS over the arc and at its end."""
    return {
        "first_gps_ms": int(bound.motion.gps_ms[0]),
        "last_gps_ms": int(bound.motion.gps_ms[-1]),
        "position_rms_m": bound.rms_all_m,
        "partners": {
            str(partner): dict(zip(("r_m", "t_m", "n_m", "position_rms_m", "position_end_m"), figures, strict=True))
            for partner, figures in zip(partners, _figures(bound), strict=True)
        },
    }


def as_table(bound: FormationBound, partners: tuple[int, ...]) -> Table:
    """For people."""
    first, last = (utc_iso_from_gps_ms(int(bound.motion.gps_ms[row])) for row in (0, -1))
    table = Table(
        title=f"Relative positions, {first} to {last}",
        caption=f"Standard deviations in m, RMS; all partners {bound.rms_all_m:.3f}",
    )
    for column in ("partner", "radial", "transverse", "normal", "3-D", "3-D at the end"):
        table.add_column(column, justify="right")
    for partner, figures in zip(partners, _figures(bound), strict=True):
        table.add_row(str(partner), *(f"{value:.3f}" for value in figures))
    return table


def _figures(bound: FormationBound) -> list[list[float]]:
    """RMS along radial, transverse, normal and altogether, and the last value, of each partner."""
    variance = np.einsum("pnii->pni", bound.covariance_rtn)[:, :, :3]
    columns: FloatArray = np.column_stack((np.sqrt(variance.mean(axis=1)), bound.rms_m, bound.position_m[:, -1]))
    figures: list[list[float]] = columns.tolist()
    return figures


def _has_fix(satellite: Satellite, t_s: IntArray) -> BoolArray:
    settings = satellite.settings
    return np.asarray(receptions(settings.gps, t_s, settings.record_s, settings.seed) == Reception.FIX)


def _fix_sigma(scenario: Settings) -> FloatArray:
    """The white noise of position and velocity, (6,)."""
    noise = (scenario.gps.position_noise_m, scenario.gps.velocity_noise_mps)
    return np.repeat([max(pair) for pair in zip(noise, _LEAST_FIX_NOISE, strict=True)], 3)
