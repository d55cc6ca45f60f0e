"""The state after what of a fix is used."""

from typing import NamedTuple

from pygnc.estimators.orbit import square_root
from pygnc.estimators.orbit.measurement import Observation
from pygnc.estimators.orbit.state import OrbitState


class Used(NamedTuple):
    """What of a fix goes into the state; None for what does not."""

    position: Observation | None
    velocity: Observation | None

    def present(self) -> list[Observation]:
        """What there is."""
        return [observation for observation in self if observation is not None]


def updated(state: OrbitState, used: Used) -> tuple[OrbitState, float]:
    """The state after the observations, and their normalised innovation squared."""
    present = used.present()
    if not present:
        return state, 0.0
    x, root, nis = square_root.update(state.x, state.sqrt_covariance, *Observation.stacked(present))
    return OrbitState(state.gps_ms, x, root), nis
