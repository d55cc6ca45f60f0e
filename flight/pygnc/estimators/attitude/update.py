"""What the filter says of each sample."""

from dataclasses import dataclass
from enum import StrEnum, unique

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.faces import FaceHealth
from pygnc.estimators.attitude.gyro_health import GyroHealth
from pygnc.estimators.attitude.motion import Step
from pygnc.estimators.attitude.state import AttitudeState, Flags


@unique
class Mode(StrEnum):
    """How much is known of the attitude."""

    SEARCHING = "searching"
    """Nothing."""
    COARSE = "coarse"
    FINE = "fine"


@unique
class RejectCause(StrEnum):
    """Why a sample, or a part of it, was not used."""

    NOT_LATER = "not_later"
    """The sample is not later than the one before it."""
    NOT_FINITE = "not_finite"
    """The sample holds something that is no number."""
    NO_SURROUNDINGS = "no_surroundings"
    """Where the satellite is, is not known."""
    GATE = "gate"
    """The innovation exceeds the chi-square limit."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldInnovation:
    """Magnetometer: measured minus predicted in uT, sensor axes.

    Attributes:
        residual: Shape (3,).
        sigma: Expected standard deviations, shape (3,).
        chi_square: What the gate judges.
        cause: Why it was not used; None when it was.
    """

    residual: Array
    sigma: Array
    chi_square: float
    cause: RejectCause | None


@dataclass(frozen=True, slots=True, eq=False)
class LightInnovation:
    """Sun sensors: measured minus predicted in shares of full sunlight.

    Attributes:
        residual: Shape (6,).
        sigma: Expected standard deviations, shape (6,).
        usable: Faces that said something of the attitude, shape (6,).
        used: Those that went into the state, shape (6,).
        saturated: Faces at full scale, shape (6,).
    """

    residual: Array
    sigma: Array
    usable: Flags
    used: Flags
    saturated: Flags


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeUpdate:
    """What became of one sample.

    Attributes:
        gps_ms: Time of the sample.
        seq: Its number.
        mode: How much is known of the attitude.
        state: Estimate at the sample's time; None when the attitude is unknown.
        rate_body_rad_s: Body rate, what is known of the bias removed, shape (3,).
        in_sun: Whether the Sun shines on the satellite, by model and light; by light alone where the place is unknown.
        cause: Why nothing at all of the sample was used; None when something was.
        faces: What is held against sun sensors.
        gyro: What is held against gyro axes.
        field: Innovation of the magnetometer; None where there was nothing to compare with.
        light: The same of the sun sensors; also None in the Earth's shadow.
        nis: Normalised innovation squared of what was used; chi-square with `dof` degrees of freedom if the filter is
            consistent.
        dof: Numbers used.
        restarted: Whether this state was found by a search, and does not follow from the one before it.
        step: How the state before led to this one; None where none did. For the smoother.
    """

    gps_ms: int
    seq: int
    mode: Mode
    state: AttitudeState | None
    rate_body_rad_s: Array
    in_sun: bool
    cause: RejectCause | None
    faces: FaceHealth
    gyro: GyroHealth
    field: FieldInnovation | None = None
    light: LightInnovation | None = None
    nis: float = 0.0
    dof: int = 0
    restarted: bool = False
    step: Step | None = None
