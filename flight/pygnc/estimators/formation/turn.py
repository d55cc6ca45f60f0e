"""The observations of one moment against a group's hypotheses.

What counts for the gates' verdicts and for the noise of receivers is the best hypothesis; each takes what passes its
own gate, and pays for the rest as much as the gate allows. A worse one must not widen the noise until it fits.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.members import Member
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix
from pygnc.estimators.formation.shared_step import orbit_vector
from pygnc.estimators.formation.update import FixVerdict, FormationRejectCause, RangeVerdict
from pygnc.estimators.orbit.measurement import Gate, Judgement, Observation, compare
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import OrbitState

Gates: TypeAlias = dict[int, tuple[Gate, Gate]]
"""Of position and velocity, by radio id."""
Key: TypeAlias = tuple[int, ...]
"""What two observations of one moment have in common only if they are the same: who measured, and what."""

_CURVATURE: Final = 1.0
"""A range is used when its not being linear in the state is no more than so much of its noise."""


class Sensors(NamedTuple):
    """How observations are compared with states.

    Attributes:
        satellites: Radio ids, our own first.
        pairs: Those with a bias.
        range_noise_m: By pair.
        range_gate: Limit of a range's normalised innovation squared.
        receiver: How far fixes are believed.
        frames: Earth orientation.
    """

    satellites: tuple[int, ...]
    pairs: tuple[Pair, ...]
    range_noise_m: list[float]
    range_gate: float
    receiver: MeasurementSettings
    frames: EarthFrames


class Turn:
    """One moment.

    Args:
        gps_ms: The moment.
        members: Hypotheses predicted for it, the best first.
        gates: Of position and velocity, by radio id.
        sensors: The rest.

    Attributes:
        members: Hypotheses with what has been taken.
        gates: For the next moment.
        ranges: How many the best hypothesis has accepted.
        accepted: Whether any hypothesis has accepted any observation.
    """

    def __init__(self, gps_ms: int, members: Sequence[Member], gates: Gates, sensors: Sensors) -> None:
        self.members = list(members)
        self.gates = dict(gates)
        self.ranges = 0
        self.accepted = False
        self._gps_ms = gps_ms
        self._sensors = sensors

    def knows(self, seen: RangeObservation | SatelliteFix) -> bool:
        """Whether the observation says anything of this group."""
        if isinstance(seen, RangeObservation):
            return seen.pair in self._sensors.pairs
        return seen.satellite in self._sensors.satellites

    def take_range(self, seen: RangeObservation) -> RangeVerdict:
        """Let all hypotheses have a range."""
        sensors = self._sensors
        one, other = (sensors.satellites.index(end) for end in seen.pair)
        pair = sensors.pairs.index(seen.pair)
        noise_m, limit = sensors.range_noise_m[pair], sensors.range_gate
        scalars = [member.expected_range(seen.range_m, one, other, pair, noise_m) for member in self.members]
        best = scalars[0]
        if best.curvature > _CURVATURE * noise_m:
            return RangeVerdict(seen, FormationRejectCause.VAGUE, best.residual, best.sigma, best.nis)
        self.members = [
            (member.with_range(scalar) if scalar.nis <= limit else member).costing(min(scalar.nis, limit))
            for member, scalar in zip(self.members, scalars, strict=True)
        ]
        self.accepted |= any(scalar.nis <= limit for scalar in scalars)
        self.ranges += best.nis <= limit
        cause = None if best.nis <= limit else FormationRejectCause.GATE
        return RangeVerdict(seen, cause, best.residual, best.sigma, best.nis)

    def take_fix(self, seen: SatelliteFix) -> FixVerdict:
        """Let all hypotheses have a fix: its position, and then its velocity."""
        place = self._sensors.satellites.index(seen.satellite)
        gates = list(self.gates[seen.satellite])
        told: list[Judgement | None] = [None, None]
        for part in (0, 1):
            observations = self._compared(seen, place, part)
            if observations:
                told[part] = judgement = self._judged(observations, gates[part], place)
                gates[part] = judgement.gate
        self.gates[seen.satellite] = (gates[0], gates[1])
        position, velocity = told
        return FixVerdict(
            seen,
            _cause(position),
            _cause(velocity),
            position.innovation if position else None,
            velocity.innovation if velocity else None,
        )

    def _compared(self, seen: SatelliteFix, place: int, part: int) -> list[Observation]:
        """Position (part 0) or velocity (1) against each hypothesis; empty if the fix has none."""
        sensors = self._sensors
        every = [
            compare(seen.fix, orbit_vector(member.states[place]), sensors.frames, sensors.receiver)[part]
            for member in self.members
        ]
        return [observation for observation in every if observation is not None]

    def _judged(self, observations: list[Observation], gate: Gate, place: int) -> Judgement:
        """Take what passes the gate; the verdict of the best hypothesis."""
        limits, members, told = self._sensors.receiver, [], []
        for member, observation in zip(self.members, observations, strict=True):
            predicted = OrbitState(self._gps_ms, orbit_vector(member.states[place]), member.orbit_root(place))
            judgement = gate.judge(observation, predicted, limits)
            after = member if judgement.used is None else member.with_fix(judgement.used, place)
            members.append(after.costing(min(judgement.innovation.chi_square, limits.gate)))
            self.accepted |= judgement.used is not None
            told.append(judgement)
        self.members = members
        return told[0]


def key_of(seen: RangeObservation | SatelliteFix) -> Key:
    """See `Key`."""
    return (seen.one, seen.other) if isinstance(seen, RangeObservation) else (seen.satellite,)


def _cause(judgement: Judgement | None) -> FormationRejectCause | None:
    if judgement is None:
        return FormationRejectCause.NO_VELOCITY
    return None if judgement.used else FormationRejectCause.GATE
