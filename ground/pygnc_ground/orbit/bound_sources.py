"""Where the fixes of a bound come from: a scenario's settings, or a recorded sense file and the truth behind it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.bus.messages import GpsFix
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.screening import fix_from, screen
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.formats.sense import decode_fixes
from pygnc.formats.sense_scan import recognise_layout, scan
from pygnc.tasks.ingest.sense_file import RECOGNITION_BYTES, fix_fields
from pygnc_ground.orbit.batch.observations import Observations, observe_positions, observe_velocities, usable
from pygnc_ground.orbit.batch.start import oblate_earth
from pygnc_ground.orbit.bound import Sightings
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from pygnc_ground.truth.orbit_truth import OrbitTruth

_WILD_SIGMAS: Final = 10.0
_MARGINS: Final = (1.0, 0.05)
"""In m and m/s. What is farther from the truth than so many standard deviations and this says nothing on the orbit; the
margin also covers the way by which the truth is brought to the velocity's time."""
_LEAST_NOISE: Final = (1e-3, 1e-6)
"""Of scenarios without noise, in m and m/s."""


def from_scenario(scenario: ScenarioSettings, settings: OrbitSettings, frames: EarthFrames) -> Sightings:
    """The fixes of a scenario, with the white noise that they really have.

    Raises:
        ValueError: There is none, or the scenario cannot be made.
    """
    made = generate(scenario)
    samples = np.concatenate((made.truth.position_ecef_m, made.truth.velocity_ecef_mps), axis=1)
    row_of = {gps_ms: row for row, gps_ms in enumerate(made.truth.gps_ms.tolist())}

    def truth(gps_ms: IntArray) -> FloatArray:
        rows = [row_of.get(ms, -1) for ms in gps_ms.tolist()]
        return np.where(np.array(rows)[:, None] >= 0, samples[rows], np.nan)

    white = (scenario.gps.position_noise_m, scenario.gps.velocity_noise_mps)
    noise = [max(pair) for pair in zip(white, _LEAST_NOISE, strict=True)]
    return _sightings(_fixes(made.sense, settings), truth, settings, frames, noise)


def from_recording(path: Path, truth: OrbitTruth, settings: OrbitSettings, frames: EarthFrames) -> Sightings:
    """The fixes of a sense file for which the truth is known, with the receiver's own standard deviations.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no fix that agrees with the truth.
    """

    def states(gps_ms: IntArray) -> FloatArray:
        true = truth.at(gps_ms)
        return np.concatenate((true.position_ecef_m, true.velocity_ecef_mps), axis=1)

    try:
        return _sightings(_fixes(path.read_bytes(), settings), states, settings, frames, None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _fixes(sense: bytes, settings: OrbitSettings) -> list[Fix]:
    """The plausible fixes in a sense file's content, in order of time."""
    records = scan(sense, recognise_layout(sense[:RECOGNITION_BYTES])).records
    packets = [
        GpsFix(seq=seq, source="", offset=0, raw=b"", **fields)
        for seq, fields in enumerate(fix_fields(decode_fixes(records)))
    ]
    limits = settings.screening
    return usable([fix_from(packet, limits) for packet in packets if screen(packet, limits) is None], limits)


def _sightings(
    fixes: Sequence[Fix],
    truth: Callable[[IntArray], FloatArray],
    settings: OrbitSettings,
    frames: EarthFrames,
    noise: Sequence[float] | None,
) -> Sightings:
    """What of the fixes agrees with the truth; `noise`, of positions and velocities, replaces the receiver's sigmas."""
    if not fixes:
        raise ValueError("no plausible fix; pygnc inspect shows what there is")
    positions = observe_positions(fixes, frames, settings.measurement)
    velocities = observe_velocities(fixes, frames, settings.measurement)
    gps_ms = positions.gps_ms
    to_ecef = np.array([frames.ecef_state_from_gcrf(ms) for ms in gps_ms.tolist()])
    gcrf = np.linalg.solve(to_ecef, truth(gps_ms)[:, :, None])[:, :, 0]
    pole = to_ecef[0, 2, :3]
    sigma = np.full((len(fixes), 6), np.inf)
    for number, kind in enumerate((positions, velocities)):
        seen = kind if noise is None else replace(kind, sigma=np.full_like(kind.sigma, noise[number]))
        agrees = _distance(seen, gcrf[seen.fix], pole) <= _WILD_SIGMAS * _length(seen.sigma) + _MARGINS[number]
        sigma[seen.fix[agrees], 3 * number : 3 * number + 3] = seen.sigma[agrees]
    used = np.isfinite(sigma).any(axis=1)
    if not used.any():
        raise ValueError(f"none of {len(fixes)} fixes agrees with the truth; is it of this satellite and time?")
    return Sightings(gps_ms[used], gcrf[used], sigma[used])


def _distance(observations: Observations, gcrf: FloatArray, pole: FloatArray) -> FloatArray:
    """Of each observation from the truth (n, 6) at its fix; NaN where that is unknown."""
    position_m, velocity_mps = gcrf[:, :3], gcrf[:, 3:]
    offset_s = observations.offset_s[:, None]
    fall = oblate_earth(position_m, pole)
    then = np.concatenate(
        (position_m + offset_s * velocity_mps + 0.5 * offset_s**2 * fall, velocity_mps + offset_s * fall), axis=1
    )
    return _length(observations.measured - np.einsum("nij,nj->ni", observations.from_gcrf, then))


def _length(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float64)
