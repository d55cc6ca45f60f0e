"""Monitors of a solution: observations rejected in succession, drag modes far beyond their prior, and wrong clocks.

The residuals of accepted observations look good in a wrong local minimum, too, because it rejects all that disagree.
Outliers occur alone; a wrong orbit rejects the observations of an hour. Page's cumulative sum tells one from the other
(Biometrika 41, 1954): plus 1 for each rejected observation, minus 1 for each accepted one, but at least 0. In units of
ln 4, this is the log-likelihood ratio of a share of 80 % rejected, as with a wrong orbit, to one of 20 % outliers.

A receiver's clock that is off displaces all its fixes along the track. If ranges and calibrated biases contradict that,
the gradient of the cost of these fixes along the track shows it (score test; Rao, Proc. Cambridge Phil. Soc. 44, 1948).
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.fix_errors import FixRows, whitened_squares
from pygnc.estimators.formation.observation_equations import Equations
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.kalman import scaled_inverse
from pygnc.estimators.orbit.measurement import rates_along_track

REJECTED_MAX: Final = 8
"""Limit of the cumulative sum, which eight successive rejections reach. 20 % independent outliers reach it with a
probability of 7e-6 per observation (ruin of a gambler): once in 34 arcs of 12 hours with six pairs."""
_MODE_MAX: Final = 5.0
"""Limit of the deviation of a drag mode from its prior, given the other modes, in standard deviations."""
_CLOCK_SIGMAS: Final = 6.0
_CLOCK_ERROR_S: Final = 3e-3
"""Least error of a clock that contradicts an orbit, in standard deviations and in s. White noise has 1 ms at most; slow
errors of the fixes, which the standard deviation does not contain, are 5 m or 0.7 ms.
"""


def rejection_sum(previous: int, rejected: bool) -> int:  # noqa: FBT001 - the signature that `accumulate` needs
    """Return the cumulative sum after one more observation."""
    return max(previous + (1 if rejected else -1), 0)


def contradictions(equations: Equations, parameters: Array) -> dict[int, str]:
    """Return what contradicts the orbits of partners in a solution, by the index of the partner.

    Args:
        equations: Equations with fixes that are not folded, drag modes, noise and the loss that rejects outliers.
        parameters: Parameters of the solution, (p,).
    """
    found: dict[int, str] = {}
    best, ids = parameters[None], equations.satellites
    information = equations.prior.information
    ratios = np.abs(information @ (parameters - equations.prior.mean)) / np.sqrt(np.diagonal(information))
    for satellite in range(1, len(ids)):
        ratio = ratios[equations.mode_indices(satellite)].max(initial=0.0)
        if ratio > _MODE_MAX:
            found[satellite] = f"its drag would have to vary by {ratio:.0f} standard deviations"
    for satellite, error_s in _clock_errors_s(equations, parameters).items():
        text = f"fixes fit the ranges only with a clock that is off by {1e3 * error_s:.0f} ms"
        # Our own clock displaces us relative to all partners.
        found |= {satellite: f"its {text}"} if satellite else dict.fromkeys(range(1, len(ids)), f"our {text}")
    motion = equations.motion(best, partials=False)
    for satellite in equations.known:
        outside = ~equations.fixes_inside(satellite, best) & equations.fixes[satellite].available
        if satellite and _is_in_succession(outside[:, 0]):
            found[satellite] = f"{int(outside[:, 0].sum())} of its {len(outside)} fixes do not fit"
    for pair, rows in enumerate(equations.ranges):
        residual_m = equations.range_residuals(pair, best, motion)[0][:, 0]
        rejected = np.abs(residual_m) > equations.loss.limit * equations.noise.range_sigma_m[pair]
        if _is_in_succession(rejected):
            for satellite, other in (rows.pair, rows.pair[::-1]):
                found[satellite] = f"{int(rejected.sum())} of {len(rejected)} ranges to {ids[other]} do not fit"
    found.pop(0, None)
    return found


def _clock_errors_s(equations: Equations, parameters: Array) -> dict[int, float]:
    """Return the errors of clocks, positive if fast, by which fixes contradict all else, by index of the satellite.

    If our own clock explains the contradiction best, it is the only one. The clock of the only satellite with fixes
    displaces the whole formation, which ranges cannot show.
    """
    known, reference, count = equations.known, equations.dynamics.reference, len(parameters)
    if len(known) < 2:
        return {}
    along_track = np.zeros((len(known), count))
    for row, state in zip(along_track, (state_indices(satellite)[:6] for satellite in known), strict=True):
        row[state] = rates_along_track(reference.nodes.state[reference.epoch_node] + parameters[state])

    def with_clocks(block: FixRows) -> FixRows:
        """Return the fixes with derivatives with respect to the clock of each satellite before the residuals."""
        clocks = np.zeros((*block.values.shape[:-1], len(known)))
        for place, direction in enumerate(along_track):
            clocks[:, :, place, :, place] = block.values[:, :, place, :, :count] @ direction
        values = np.concatenate((block.values[..., :count], clocks, block.values[..., count:]), axis=-1)
        return block._replace(values=values)

    squares = whitened_squares(map(with_clocks, equations.known_fixes(parameters)[0]), (equations.errors,))[0][0]
    covariance = scaled_inverse(equations.folded(parameters).fit(parameters[None]).information[0])
    errors_s, deviations = {}, {}
    for clock, satellite in enumerate(known, start=count):
        pull, score = squares[clock, :count], float(squares[clock, -1])
        information = max(float(squares[clock, clock] - pull @ covariance @ pull), 0.0)
        deviations[satellite] = abs(score) / np.sqrt(information) if information else 0.0
        if abs(score) > max(_CLOCK_SIGMAS * np.sqrt(information), _CLOCK_ERROR_S * information):
            errors_s[satellite] = -score / information
    ours = errors_s.pop(0, None)
    return errors_s if ours is None or deviations[0] < max(deviations.values()) else {0: ours}


def _is_in_succession(rejected: Iterable[bool]) -> bool:
    return max(accumulate(rejected, rejection_sum, initial=0)) >= REJECTED_MAX
