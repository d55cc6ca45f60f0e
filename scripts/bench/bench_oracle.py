"""Fly the attitude filter on orbits, rotations and sensor errors of another author's simulator, Basilisk.

Usage: python scripts/bench/bench_oracle.py FOLDER [--flights N] [--first SEED] [--case NAME] [--noise-share X]

FOLDER is supportData of a checkout of Basilisk. Needs `pip install bsk`; Basilisk is not a dependency of this project.
Without either of them, the bench is not run. Prints a Markdown table with a row for each case of `CASES`.

Each flight is three hours of a tumbling 1.5U CubeSat at 400 to 600 km. Basilisk computes the orbit (GGM03S to degree
10), the rotation (rigid body with gravity gradient), the field (WMM2025), the shadow, the light that the Earth reflects
(map of CERES by place, 5 degrees), and the readings with the errors of `Errors`. The chain of the flight software from
the messages on has its default settings, except that sensor axes are body axes, and is told of none of the errors. With
--noise-share, the filter assumes another noise of the sun sensors.
"""
# mypy: disable-error-code="attr-defined"
# Basilisk declares no types.

import argparse
import importlib.util
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.messages import BatchEnd, GnssFix, Message, SensorSample, vector3
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.estimators.attitude.settings import MountingSettings, SunSensorSettings
from pygnc_ground.attitude.accuracy import NEES_DOF, WRONG_DEG, attitude_errors
from pygnc_ground.campaign.flight import fly
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.attitude_run import attitude_solution
from pygnc_ground.scenario import environment
from pygnc_ground.truth.attitude_truth import TrueAttitude
from scripts.bench.table import print_table, rms

HOURS: Final = 3
STEP_S: Final = 5
"""Time between two samples."""
FIX_STEPS: Final = 5
DYNAMICS_S: Final = 0.25
GRAVITY_DEGREE: Final = 10
FIX_NOISE_M, FIX_NOISE_MPS = 5.0, 0.01
SETTLED_S: Final = 1800.0
SIGMAS: Final = 3.0
"""An error beyond this number of formal sigmas and `WRONG_DEG` counts as silent."""
RATES_DEG_S: Final = (1.0, 3.0, 0.2, 10.0, 1.0)
INCONSISTENT: Final = 2.0
NONE: Final = 1e-9
"""Size of an error that Basilisk does not allow to be zero."""
NORMALS: Final = np.concatenate((np.eye(3), -np.eye(3)))
SUN_SENSORS: Final = SunSensorSettings()
EARTH_RATE: Final = np.array((0.0, 0.0, EARTH_ROTATION_RAD_S))
SPACECRAFT_S: Final = 1_000_000
NANOSECONDS: Final = 1_000_000_000
MODULES: Final = {
    "messaging": "architecture",
    "spacecraft": "simulation",
    "GravityGradientEffector": "simulation",
    "magneticFieldWMM": "simulation",
    "eclipse": "simulation",
    "albedo": "simulation",
    "coarseSunSensor": "simulation",
    "magnetometer": "simulation",
    "imuSensor": "simulation",
    "SimulationBaseClass": "utilities",
    "orbitalMotion": "utilities",
    "simIncludeGravBody": "utilities",
}
INERTIA_KG_M2: Final = (0.0072, 0.0068, 0.0034)

Cells = Sequence[str]


@dataclass(frozen=True)
class Errors:
    """Sizes of the errors of the sensors: standard deviations of constants between flights, unless stated otherwise.

    Noise, biases and the gains of the faces belong to all cases. The random walks are Basilisk's: white steps, clipped
    at a bound.
    """

    mag_noise_ut: float = 0.5
    mag_bias_ut: float = 15.0
    mag_scale: float = 0.0
    """One factor for all axes."""
    mag_misalignment_deg: float = 0.0
    mag_walk_ut: float = NONE
    """Step per sample; the bound is 0.5 uT."""
    gyro_noise_deg_s: float = 0.02
    gyro_bias_deg_s: float = 0.5
    gyro_scale: float = 0.0
    gyro_misalignment_deg: float = 0.0
    gyro_walk_deg_s: float = NONE
    """Step per sample; the bound is 0.02 deg/s."""
    gyro_lsb_deg_s: float = NONE
    """Resolution; Basilisk rounds towards zero."""
    sun_noise: float = 0.005
    sun_gain: float = 0.05
    sun_tilt_deg: float = 0.0
    """Tilt of each face, per axis."""
    sun_kelly_max: float = 0.0
    """Largest Kelly factor k: the cosine c becomes c (1 - exp(-c^2 / k)); its distribution is uniform."""


CASES: Final = {
    "noise, biases, gains": Errors(),
    "with errors of magnetometer and gyro": Errors(
        mag_scale=0.03,
        mag_misalignment_deg=1.0,
        mag_walk_ut=0.01,
        gyro_scale=0.005,
        gyro_misalignment_deg=0.3,
        gyro_walk_deg_s=2e-4,
        gyro_lsb_deg_s=1.0 / 65.6,
    ),
    "with an error of the cosine law": Errors(sun_kelly_max=0.06),
    "with tilted faces": Errors(sun_tilt_deg=1.0),
}
CASES["all"] = replace(CASES["with errors of magnetometer and gyro"], sun_kelly_max=0.06, sun_tilt_deg=1.0)


class Flown(NamedTuple):
    """Truth and readings of n samples by Basilisk, in body axes."""

    gps_ms: IntArray
    position_m: FloatArray
    velocity_mps: FloatArray
    quaternion: FloatArray
    rate_rad_s: FloatArray
    mag_ut: FloatArray
    gyro_rad_s: FloatArray
    lux: FloatArray


class Score(NamedTuple):
    """Figures of one flight after half an hour: RMS errors and sigmas of three axes, NEES per degree of freedom."""

    error_deg: float
    sigma_deg: float
    nees: float
    silent_s: float
    unknown: float


def main() -> int:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="Folder supportData of a checkout of Basilisk.")
    parser.add_argument("--flights", type=int, metavar="N", default=10, help="Number of flights (default: 10).")
    parser.add_argument("--first", type=int, metavar="SEED", default=1, help="Seed of the first flight (default: 1).")
    parser.add_argument("--case", choices=list(CASES), help="Run only this case (default: all cases).")
    usual = SUN_SENSORS.noise_share
    help_text = f"Setting sun_sensors.noise_share of the filter (default: {usual})."
    parser.add_argument("--noise-share", type=float, metavar="X", default=usual, help=help_text)
    options = parser.parse_args()
    if importlib.util.find_spec("Basilisk") is None:
        print("not run: Basilisk is missing (pip install bsk)")
        return 0
    if not (options.folder / "MagneticField").exists():
        print(f"not run: {options.folder} is not the folder supportData of Basilisk")
        return 0
    seeds = range(options.first, options.first + options.flights)
    cases = {name: errors for name, errors in CASES.items() if options.case in {None, name}}
    header = ("errors", "error (sigma): median", "NEES: median, all", "NEES > 2", "silently wrong", "unknown")
    settings = settings_of(options.noise_share)
    print_table(header, (case_cells(name, errors, seeds, options.folder, settings) for name, errors in cases.items()))
    return 0


def settings_of(noise_share: float) -> Settings:
    """Return the settings of the flight with sensor axes that are body axes."""
    settings = Settings()
    mounting = MountingSettings(imu_from_body=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    sun_sensors = replace(settings.attitude.sun_sensors, noise_share=noise_share)
    return replace(settings, attitude=replace(settings.attitude, mounting=mounting, sun_sensors=sun_sensors))


def case_cells(name: str, errors: Errors, seeds: Iterable[int], folder: Path, settings: Settings) -> Cells:
    """Fly a case; return its row of the table."""
    scores = [score(Simulator(seed, folder, errors).run(), seed, settings) for seed in seeds]
    error_deg, sigma_deg, nees, silent_s, unknown = np.array(scores).T
    return (
        name,
        f"{np.median(error_deg):.2f} ({np.median(sigma_deg):.2f}) deg",
        f"{np.median(nees):.2f}, {nees.min():.2f} to {nees.max():.2f}",
        f"{int((nees > INCONSISTENT).sum())} of {len(scores)}",
        f"{silent_s.sum():.0f} s",
        f"{100.0 * unknown.mean():.1f} %",
    )


class Simulator:
    """A spacecraft with its environment and sensors in Basilisk."""

    def __init__(self, seed: int, folder: Path, errors: Errors) -> None:
        self.rng = np.random.default_rng(seed)
        self.start_gps_ms = gps_ms_from_utc_iso("2025-07-01T00:00:00Z") + int(self.rng.uniform(0.0, 365.0) * 86_400_000)
        self._folder, self._errors = folder, errors
        self._bsk = {name: importlib.import_module(f"Basilisk.{path}.{name}") for name, path in MODULES.items()}
        self.sim = self._bsk["SimulationBaseClass"].SimBaseClass()
        process = self.sim.CreateNewProcess("process")
        for priority, (task, seconds) in enumerate((("sensors", STEP_S), ("dynamics", DYNAMICS_S))):
            process.addTask(self.sim.CreateNewTask(task, round(1e9 * seconds)), priority)
        planet_message = self._bsk["messaging"].SpicePlanetStateMsg
        self._sun, self._earth, self._earth_of_gravity = planet_message(), planet_message(), planet_message()
        self._set_up_spacecraft(RATES_DEG_S[seed % len(RATES_DEG_S)])
        self._modules = [*self._surroundings(), *self._sun_sensors(), *self._magnetometers(), *self._gyros()]
        outputs = (
            self._craft.scStateOutMsg,
            *(sensor.cssDataOutMsg for sensor in self._faces),
            *(sensor.tamDataOutMsg for sensor in self._tams),
            *(sensor.sensorOutMsg for sensor in self._imus),
        )
        self._records = [output.recorder() for output in outputs]
        self.sim.AddModelToTask("dynamics", self._craft)
        for module in (*self._modules, *self._records):
            self.sim.AddModelToTask("sensors", module)

    def run(self) -> Flown:
        """Return the truth and the readings of all samples."""
        self._write_planets(0)
        self.sim.InitializeSimulation()
        for tam in self._tams:
            # All instances begin with the same random numbers.
            for _ in range(int(self.rng.integers(1000))):
                tam.UpdateState(0)
        for step in range(HOURS * 3600 // STEP_S + 1):
            self._write_planets(step)
            self.sim.ConfigureStopTime(step * STEP_S * NANOSECONDS)
            self.sim.ExecuteSimulation()
        return self._flown()

    def _set_up_spacecraft(self, rate_deg_s: float) -> None:
        craft = self._bsk["spacecraft"].Spacecraft()
        gravity = self._bsk["simIncludeGravBody"].gravBodyFactory()
        earth = gravity.createEarth()
        earth.isCentralBody = True
        earth.useSphericalHarmonicsGravityModel(str(self._folder / "LocalGravData" / "GGM03S.txt"), GRAVITY_DEGREE)
        earth.planetBodyInMsg.subscribeTo(self._earth_of_gravity)
        gravity.addBodiesTo(craft)
        elements = self._bsk["orbitalMotion"].ClassicElements()
        elements.a = earth.radEquator + self.rng.uniform(400e3, 600e3)
        elements.e, elements.i = 0.001, math.radians(self.rng.uniform(50.0, 98.0))
        elements.Omega, elements.omega, elements.f = self.rng.uniform(0.0, 2.0 * np.pi, 3)
        position_m, velocity_mps = self._bsk["orbitalMotion"].elem2rv(earth.mu, elements)
        attitude, rate = self.rng.standard_normal((2, 3))
        craft.hub.mHub, craft.hub.IHubPntBc_B = 1.8, np.diag(INERTIA_KG_M2).tolist()
        craft.hub.r_CN_NInit, craft.hub.v_CN_NInit = _column(position_m), _column(velocity_mps)
        craft.hub.sigma_BNInit = _column(attitude / np.linalg.norm(attitude) * self.rng.uniform(0.0, 1.0))
        craft.hub.omega_BN_BInit = _column(math.radians(rate_deg_s) * rate / np.linalg.norm(rate))
        torque = self._bsk["GravityGradientEffector"].GravityGradientEffector()
        torque.addPlanetName(earth.planetName)
        craft.addDynamicEffector(torque)
        self._craft, self._kept = craft, (gravity, torque)
        self.sim.AddModelToTask("dynamics", torque)

    def _surroundings(self) -> list[Any]:
        field = self._bsk["magneticFieldWMM"].MagneticFieldWMM()
        field.configureWMMFile(str(self._folder / "MagneticField" / "WMM2025.COF"))
        field.epochDateFractionalYear = 1980.0 + (self.start_gps_ms / 86_400_000 + 5.0) / 365.25
        field.addSpacecraftToModel(self._craft.scStateOutMsg)
        field.planetPosInMsg.subscribeTo(self._earth)
        shadow = self._bsk["eclipse"].Eclipse()
        shadow.addSpacecraftToModel(self._craft.scStateOutMsg)
        shadow.addPlanetToModel(self._earth)
        shadow.sunInMsg.subscribeTo(self._sun)
        self._field, self._shadow = field, shadow
        return [field, shadow]

    def _sun_sensors(self) -> list[Any]:
        albedo = self._bsk["albedo"].Albedo()
        albedo.spacecraftStateInMsg.subscribeTo(self._craft.scStateOutMsg)
        albedo.sunPositionInMsg.subscribeTo(self._sun)
        map_folder = str(self._folder / "AlbedoData")
        albedo.addPlanetandAlbedoDataModel(self._earth, map_folder, "Earth_ALB_2018_CERES_All_5x5.csv")
        kelly = self.rng.uniform(0.0, self._errors.sun_kelly_max)
        self._faces = []
        for number, normal in enumerate(NORMALS):
            tilted = normal + math.radians(self._errors.sun_tilt_deg) * self.rng.standard_normal(3)
            tilted /= np.linalg.norm(tilted)
            albedo.addInstrumentConfig(0.5 * np.pi, _column(tilted), _column(np.zeros(3)))
            face = self._bsk["coarseSunSensor"].CoarseSunSensor()
            face.RNGSeed = int(self.rng.integers(2**31))
            face.nHat_B, face.fov = _column(tilted), 0.5 * np.pi
            face.kellyFactor, face.scaleFactor = kelly, 1.0 + self._errors.sun_gain * self.rng.standard_normal()
            face.senNoiseStd = self._errors.sun_noise
            face.setAMatrix([[0.0]])
            face.maxOutput = SUN_SENSORS.saturation_lux / SUN_SENSORS.full_sun_lux
            face.sunInMsg.subscribeTo(self._sun)
            face.stateInMsg.subscribeTo(self._craft.scStateOutMsg)
            face.sunEclipseInMsg.subscribeTo(self._shadow.eclipseOutMsgs[0])
            face.albedoInMsg.subscribeTo(albedo.albOutMsgs[number])
            self._faces.append(face)
        return [albedo, *self._faces]

    def _magnetometers(self) -> list[Any]:
        """Return the magnetometer, and another one without field that has the random walk only."""
        errors, rng = self._errors, self.rng
        nothing = self._bsk["messaging"].MagneticFieldMsg().write(self._bsk["messaging"].MagneticFieldMsgPayload())
        self._tams = []
        for message, noise_ut, bound_ut, kept in (
            (self._field.envOutMsgs[0], errors.mag_noise_ut, 0.0, 0.0),
            (nothing, errors.mag_walk_ut, 0.5, 1.0),
        ):
            tam = self._bsk["magnetometer"].Magnetometer()
            tam.senNoiseStd, tam.walkBounds = [1e-6 * noise_ut] * 3, [1e-6 * bound_ut] * 3
            tam.setAMatrix((kept * np.eye(3)).tolist())
            tam.stateInMsg.subscribeTo(self._craft.scStateOutMsg)
            tam.magInMsg.subscribeTo(message)
            self._tams.append(tam)
        self._tams[0].senBias = (1e-6 * errors.mag_bias_ut * rng.standard_normal(3)).tolist()
        self._tams[0].scaleFactor = 1.0 + errors.mag_scale * rng.standard_normal()
        self._tams[0].setBodyToSensorDCM(*np.radians(errors.mag_misalignment_deg * rng.standard_normal(3)))
        self._nothing = nothing
        return self._tams

    def _gyros(self) -> list[Any]:
        """Return the gyro, and another one on a body at rest that has the random walk only."""
        errors, rng = self._errors, self.rng
        rest = self._bsk["messaging"].SCStatesMsg().write(self._bsk["messaging"].SCStatesMsgPayload())
        self._imus = []
        for message, noise_deg_s, bound_deg_s, kept in (
            (self._craft.scStateOutMsg, errors.gyro_noise_deg_s, 0.0, 0.0),
            (rest, errors.gyro_walk_deg_s, 0.02, 1.0),
        ):
            imu = self._bsk["imuSensor"].ImuSensor()
            imu.RNGSeed = int(rng.integers(2**31))
            imu.PMatrixGyro = np.radians(noise_deg_s * np.eye(3)).tolist()
            imu.setAMatrixGyro((kept * np.eye(3)).tolist())
            imu.setErrorBoundsGyro(np.full(3, math.radians(bound_deg_s)).tolist())
            imu.setWalkBoundsGyro(np.full(3, math.radians(bound_deg_s)).tolist())
            imu.PMatrixAccel = np.zeros((3, 3)).tolist()
            imu.senRotMax, imu.senTransMax = 10.0, 100.0
            imu.scStateInMsg.subscribeTo(message)
            self._imus.append(imu)
        self._imus[0].senRotBias = np.radians(errors.gyro_bias_deg_s * rng.standard_normal(3)).tolist()
        self._imus[0].gyroScale = (1.0 + errors.gyro_scale * rng.standard_normal(3)).tolist()
        self._imus[0].setBodyToPlatformDCM(*np.radians(errors.gyro_misalignment_deg * rng.standard_normal(3)))
        self._imus[0].setLSBs(0.0, math.radians(errors.gyro_lsb_deg_s))
        self._rest = rest
        return self._imus

    def _write_planets(self, step: int) -> None:
        """Write Sun and Earth: of this sample for the sensors, of the previous one for the gravity until then."""
        payload = self._bsk["messaging"].SpicePlanetStateMsgPayload
        previous = max(step - 1, 0)
        for message, at in ((self._earth, step), (self._earth_of_gravity, previous)):
            before, now, after = environment.itrf_from_gcrf(
                environment.epochs(self.start_gps_ms, at * STEP_S + np.array((-0.5, 0.0, 0.5)))
            )
            earth = payload(PlanetName="earth", J20002Pfix=now.tolist(), J20002Pfix_dot=(after - before).tolist())
            message.write(earth, at * STEP_S * NANOSECONDS)
        (sun_m,) = environment.sun_position_gcrf_m(self.start_gps_ms, np.array((step * STEP_S,)))
        self._sun.write(payload(PlanetName="sun", PositionVector=sun_m.tolist()), step * STEP_S * NANOSECONDS)

    def _flown(self) -> Flown:
        states, *others = self._records
        faces, tams, imus = others[:6], others[6:8], others[8:]
        mrp = np.asarray(states.sigma_BN)
        square = np.square(mrp).sum(axis=1, keepdims=True)
        light = np.column_stack([np.ravel(face.OutputData) for face in faces])
        columns = (
            self.start_gps_ms + np.round(np.asarray(states.times()) * 1e-6).astype(np.int64),
            states.r_BN_N,
            states.v_BN_N,
            np.concatenate((1.0 - square, 2.0 * mrp), axis=1) / (1.0 + square),
            states.omega_BN_B,
            1e6 * sum(np.asarray(tam.tam_S) for tam in tams),
            sum(np.asarray(imu.AngVelPlatform) for imu in imus),
            np.maximum(light, 0.0) * SUN_SENSORS.full_sun_lux,
        )
        # The gyro has no reading at the start.
        return Flown(*(np.asarray(column)[1:] for column in columns))


def messages_of(flown: Flown, seed: int) -> list[Message]:
    """Return what the ingest task would make of the samples and of fixes every 25 s."""
    rng = np.random.default_rng((seed, 1))
    found: list[Message] = []
    times_s = (flown.gps_ms - flown.gps_ms[0]) / 1000.0
    rotations = environment.itrf_from_gcrf(environment.epochs(int(flown.gps_ms[0]), times_s))
    for row, gps_ms in enumerate(flown.gps_ms.tolist()):
        second = SPACECRAFT_S + round(times_s[row])
        if row % FIX_STEPS == 0:
            position_m = rotations[row].dot(flown.position_m[row])
            velocity_mps = rotations[row].dot(flown.velocity_mps[row]) - np.cross(EARTH_RATE, position_m)
            found.append(
                GnssFix(
                    seq=len(found) + 1,
                    source="oracle",
                    offset=row,
                    kind="oracle",
                    t_spacecraft_s=second,
                    gps_ms=gps_ms,
                    time_sigma_s=1e-6,
                    position_solution="computed",
                    position_ecef_m=vector3(position_m + FIX_NOISE_M * rng.standard_normal(3)),
                    position_sigma_m=(FIX_NOISE_M,) * 3,
                    velocity_solution="computed",
                    velocity_ecef_mps=vector3(velocity_mps + FIX_NOISE_MPS * rng.standard_normal(3)),
                    velocity_sigma_mps=(FIX_NOISE_MPS,) * 3,
                    velocity_latency_s=0.0,
                    differential_age_s=0.0,
                    solution_age_s=0.0,
                    satellites_tracked=10,
                    satellites_used=10,
                    raw=b"",
                )
            )
        found.append(
            SensorSample(
                seq=len(found) + 1,
                source="oracle",
                offset=row,
                kind="oracle",
                t_spacecraft_s=second,
                t_spacecraft_ms=0,
                time_sigma_s=0.001,
                mag_imu_ut=vector3(flown.mag_ut[row]),
                gyro_imu_rad_s=vector3(flown.gyro_rad_s[row]),
                lux=tuple(flown.lux[row].tolist()),
                raw=b"",
            )
        )
    return [*found, BatchEnd(seq=len(found) + 1, cause="")]


def score(flown: Flown, seed: int, settings: Settings) -> Score:
    """Return the figures of the flight software's attitude filter."""
    samples = fly(messages_of(flown, seed), settings).samples
    records = [record for record in samples if record.outcome.update is not None]
    times_ms = np.array([record.outcome.gps_ms for record in records])
    rows = np.searchsorted(flown.gps_ms, times_ms)
    unknown = np.full((len(rows), 3), np.nan)
    true = TrueAttitude(flown.quaternion[rows], flown.rate_rad_s[rows], unknown, unknown)
    states = [record.outcome.update.state for record in records if record.outcome.update is not None]
    solution = attitude_solution(records, states, settings.attitude)
    found = attitude_errors(solution, true)
    error_deg, nees = np.full((2, len(rows)), np.nan)
    error_deg[found.row], nees[found.row] = np.degrees(found.angle_rad), found.nees / NEES_DOF
    sigma_deg = np.degrees(solution.sigma_rss_rad)
    late = times_ms - times_ms[0] >= 1e3 * SETTLED_S
    settled = late & np.isfinite(error_deg)
    silent = (error_deg > WRONG_DEG) & (error_deg > SIGMAS * sigma_deg)
    return Score(
        rms(error_deg[settled]),
        rms(sigma_deg[settled]),
        float(nees[settled].mean()),
        float(STEP_S * silent.sum()),
        float(np.isnan(error_deg[late]).mean()),
    )


def _column(values: FloatArray) -> list[list[float]]:
    return [[value] for value in np.ravel(values).tolist()]


if __name__ == "__main__":
    sys.exit(main())
