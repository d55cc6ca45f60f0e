"""Read exported messages by other implementations, and compare every number with its printed digits.

It runs in an environment with these readers and Java, without PyGNC: see bench_exports.py. A reader is a function that
returns the numbers of a message in the order in which KVN has them.
"""

import argparse
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

import orekit_jpype
from anise.astro import Ephemeris, Opm
from brahe import ccsds
from ccsds_ndm.ndm_io import NdmIo
from jpype import JImplements, JOverride
from oem import OrbitEphemerisMessage
from sgp4 import omm
from sgp4.api import Satrec
from skyfield.api import EarthSatellite, load

_AXES: Final = ("x", "y", "z", "x_dot", "y_dot", "z_dot")
_RTN: Final = ("r", "t", "n", "rdot", "tdot", "ndot")
_LOWER: Final = [(row, column) for row in range(6) for column in range(row + 1)]
_MEAN: Final = (
    "mean_motion",
    "eccentricity",
    "inclination",
    "ra_of_asc_node",
    "arg_of_pericenter",
    "mean_anomaly",
    "bstar",
)
_NUMBER: Final = r"[-+]?\d+\.\d+(?:e[-+]\d+)?"

_FAULTS: Final = {("attitude.aem", "ccsds-ndm")}
"""Messages that a reader cannot read: its KVN reader does not know the attitude type QUATERNION/ANGVEL."""

Reader: TypeAlias = Callable[[Path], Sequence[float]]


def main() -> None:
    """Print which reader finds every number of which message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Folder with messages in KVN, XML and JSON.")
    folder = parser.parse_args().folder
    print("| message | reader | numbers read to the last printed digit |\n|---|---|---|")
    failed = False
    for name, package, read in _readers():
        expected = printed(folder / re.sub(r"\.(xml|json)$", "", name))
        try:
            result = compare(expected, read(folder / name), 1.01 if "aem" in name else 0.51)
        except Exception as error:  # noqa: BLE001 - each reader raises errors of its own
            result = f"**{type(error).__name__}: {str(error)[:90]}**"
        failed |= result.startswith("**") and (name, package) not in _FAULTS
        print(f"| `{name}` | {package} {version(package)} | {result} |")
    raise SystemExit(int(failed))


def printed(path: Path) -> list[str]:
    """Return the numbers of a message in KVN, or of the second lines of a TLE, as they are printed."""
    lines = path.read_text().splitlines()
    if path.suffix == ".tle":
        return [field for line in lines if line.startswith("2 ") for field in _tle_fields(line)]
    without = [line for line in lines if not re.match(r"COMMENT|CREATION|EPOCH|TCA|MESSAGE|ST(ART|OP)|CCSDS", line)]
    values = (re.sub(r"\[.*\]$|^\d{4}-\d\d-\d\dT\S+", "", line.rpartition("=")[2]) for line in without)
    return [number for value in values for number in re.findall(rf"(?<!\S){_NUMBER}(?!\S)", value)]


def _tle_fields(line: str) -> list[str]:
    parts = line[8:63].split()
    return [parts[0], parts[1], f"0.{parts[2]}", *parts[3:]]


def compare(expected: Sequence[str], found: Sequence[float], digit: float) -> str:
    """Return how many numbers are equal within `digit` units of their last printed digit; bold if not all are."""
    if len(found) != len(expected):
        return f"**{len(found)} numbers instead of {len(expected)}**"
    wrong = [
        pair for pair in zip(expected, found, strict=True) if abs(float(pair[0]) - pair[1]) > digit * _unit(pair[0])
    ]
    return f"**{len(wrong)} of {len(found)} differ, first {wrong[0]}**" if wrong else f"all {len(found)}"


def _unit(text: str) -> float:
    digits, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def _readers() -> Iterator[tuple[str, str, Reader]]:
    for ending in ("", ".xml"):
        for kind, file in (
            ("opm", "orbit"),
            ("oem", "orbit"),
            ("omm", "orbit"),
            ("aem", "attitude"),
            ("cdm", "partner"),
        ):
            name = f"{file}.{kind}{ending}"
            yield name, "brahe", _BRAHE[kind]
            yield name, "ccsds-ndm", _NDM[kind]
            yield name, "orekit-jpype", _OREKIT[kind]
        yield f"orbit.oem{ending}", "oem", _oem_by_oem
    yield "orbit.oem", "anise", _oem_by_anise
    yield "orbit.opm", "anise", _opm_by_anise
    for profile in ("starlink.oem", "aws.oem"):
        yield profile, "orekit-jpype", _OREKIT["oem"]
        yield profile, "oem", _oem_by_oem
    yield "orbit.omm.xml", "sgp4", _omm_by_sgp4
    yield "orbit.omm.json", "skyfield", _omm_by_skyfield
    yield "orbit.tle", "sgp4", _tle_by_sgp4
    yield "orbit.tle", "skyfield", _tle_by_skyfield


# brahe


def _brahe(path: Path, kind: str) -> Any:
    return json.loads(getattr(ccsds, kind.upper()).from_file(str(path)).to_string("JSON"))


def _opm_by_brahe(path: Path) -> list[float]:
    found = _brahe(path, "opm")
    covariance = found["covariance"]
    names = (f"c{_AXES[row]}_{_AXES[column]}" for row, column in _LOWER)
    return [*(found["state_vector"][axis] for axis in _AXES), *(covariance[name] for name in names)]


def _oem_by_brahe(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in _brahe(path, "oem")["segments"]:
        numbers += [state[axis] for state in segment["states"] for axis in _AXES]
        numbers += [value for one in segment["covariances"] for row in one["values"] for value in row]
    return numbers


def _omm_by_brahe(path: Path) -> list[float]:
    message = ccsds.OMM.from_file(str(path))
    return [float(getattr(message, name)) for name in _MEAN]


def _aem_by_brahe(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in ccsds.AEM.from_file(str(path)).segments:
        for state in segment.states:
            scalar, *vector = state.quaternion.to_vector(scalar_first=True)
            numbers += [*vector, scalar, *map(math.degrees, state.angular_velocity)]
    return numbers


def _cdm_by_brahe(path: Path) -> list[float]:
    message = ccsds.CDM.from_file(str(path))
    relative = [value for value in _relative(_brahe(path, "cdm")) if value is not None]
    numbers = [message.miss_distance, message.relative_speed, *relative, message.collision_probability]
    for one in ("object1", "object2"):
        numbers += (1e-3 * getattr(message, f"{one}_state")).tolist()
        covariance = getattr(message, f"{one}_covariance")
        numbers += [covariance[row, column] for row, column in _LOWER]
    return numbers


def _relative(found: Any) -> list[float]:
    """Return the relative state, wherever the object has it."""
    if isinstance(found, dict):
        names = [f"relative_{kind}_{axis}" for kind in ("position", "velocity") for axis in "rtn"]
        if names[0] in found:
            return [found[name] for name in names]
        return next(filter(None, map(_relative, found.values())), [])
    return []


_BRAHE: Final[Mapping[str, Reader]] = {
    "opm": _opm_by_brahe,
    "oem": _oem_by_brahe,
    "omm": _omm_by_brahe,
    "aem": _aem_by_brahe,
    "cdm": _cdm_by_brahe,
}

# ccsds-ndm


def _ndm(path: Path) -> Any:
    return NdmIo().from_path(path).body


def _values(block: Any, names: Sequence[str]) -> list[float]:
    found = (getattr(block, name) for name in names)
    return [float(getattr(value, "value", value)) for value in found]


def _triangle(axes: Sequence[str]) -> list[str]:
    return [f"c{axes[row]}_{axes[column]}" for row, column in _LOWER]


def _opm_by_ndm(path: Path) -> list[float]:
    data = _ndm(path).segment.data
    return _values(data.state_vector, _AXES) + _values(data.covariance_matrix, _triangle(_AXES))


def _oem_by_ndm(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in _ndm(path).segment:
        for state in segment.data.state_vector:
            numbers += _values(state, _AXES)
        for covariance in segment.data.covariance_matrix:
            numbers += _values(covariance, _triangle(_AXES))
    return numbers


def _omm_by_ndm(path: Path) -> list[float]:
    data = _ndm(path).segment.data
    return _values(data.mean_elements, _MEAN[:-1]) + _values(data.tle_parameters, ("bstar",))


def _aem_by_ndm(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in _ndm(path).segment:
        for state in segment.data.attitude_state:
            both = state.quaternion_ang_vel
            numbers += _values(both.quaternion, ("q1", "q2", "q3", "qc"))
            numbers += _values(both.ang_vel, ("angvel_x", "angvel_y", "angvel_z"))
    return numbers


def _cdm_by_ndm(path: Path) -> list[float]:
    body = _ndm(path)
    about = body.relative_metadata_data
    numbers = _values(about, ("miss_distance", "relative_speed"))
    names = [f"relative_{kind}_{axis}" for kind in ("position", "velocity") for axis in "rtn"]
    numbers += _values(about.relative_state_vector, names) + _values(about, ("collision_probability",))
    for segment in body.segment:
        numbers += _values(segment.data.state_vector, _AXES)
        numbers += _values(segment.data.covariance_matrix, _triangle(_RTN))
    return numbers


_NDM: Final[Mapping[str, Reader]] = {
    "opm": _opm_by_ndm,
    "oem": _oem_by_ndm,
    "omm": _omm_by_ndm,
    "aem": _aem_by_ndm,
    "cdm": _cdm_by_ndm,
}

# Orekit; it needs leap seconds, and a central body without ephemerides


@cache
def _orekit() -> Any:
    orekit_jpype.initVM()
    from java.io import File
    from org.orekit.data import DataContext, DirectoryCrawler
    from org.orekit.files.ccsds.ndm import ParserBuilder
    from org.orekit.frames import FramesFactory

    folder = Path(tempfile.mkdtemp())
    scale = load.timescale(builtin=True)
    days = [date.fromordinal(int(jd - 1721424.5)) for jd in scale.leap_dates]
    (folder / "tai-utc.dat").write_text(
        "".join(
            f" {day.year} {day:%b} {day.day:2d} =JD {day.toordinal() + 1721424.5:.1f}  TAI-UTC= {10 + number:11.7f}"
            "   S + (MJD - 41317.) X 0.0      S\n"
            for number, day in enumerate([date(1972, 1, 1), *(day for day in days if day > date(1972, 1, 1))])
        ).upper()
    )

    def method(value: object = None) -> Any:
        return JOverride(lambda *_: value)

    names = ("PVCoordinates", "Position", "Velocity")
    others = (*(f"get{name}" for name in names), "toExtendedPVCoordinatesProvider", "toFieldPVCoordinatesProvider")
    frame = method(FramesFactory.getGCRF())
    earth = {name: method() for name in others} | {"getName": method("Earth"), "getGM": method(3.986004418e14)}
    earth |= {"getInertiallyOrientedFrame": frame, "getBodyOrientedFrame": frame}
    body = JImplements("org.orekit.bodies.CelestialBody")(type("Earth", (), earth))
    loading = {"loadCelestialBody": method(body())}
    loader = JImplements("org.orekit.bodies.CelestialBodyLoader")(type("Loader", (), loading))
    context = DataContext.getDefault()
    context.getDataProvidersManager().addProvider(DirectoryCrawler(File(str(folder))))
    context.getCelestialBodies().addCelestialBodyLoader("Earth", loader())
    return ParserBuilder()


def _by_orekit(path: Path, kind: str) -> Any:
    builder = _orekit()
    from org.orekit.data import DataSource

    return getattr(builder, f"build{kind}Parser")().parseMessage(DataSource(str(path)))


def _state_by_orekit(pv: Any) -> list[float]:
    return _components(pv.getPosition(), pv.getVelocity())


def _components(*vectors: Any) -> list[float]:
    return [1e-3 * component for vector in vectors for component in (vector.getX(), vector.getY(), vector.getZ())]


def _covariance_by_orekit(block: Any, scale: float) -> list[float]:
    matrix = block.getCovarianceMatrix()
    return [scale * matrix.getEntry(row, column) for row, column in _LOWER]


def _opm_by_orekit(path: Path) -> list[float]:
    data = _by_orekit(path, "Opm").getData()
    state = _state_by_orekit(data.getStateVectorBlock().toTimeStampedPVCoordinates())
    return state + _covariance_by_orekit(data.getCovarianceBlock(), 1e-6)


def _oem_by_orekit(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in _by_orekit(path, "Oem").getSegments():
        for state in segment.getData().getEphemeridesDataLines():
            numbers += _state_by_orekit(state)
        for covariance in segment.getData().getCovarianceMatrices():
            numbers += _covariance_by_orekit(covariance, 1e-6)
    return numbers


def _omm_by_orekit(path: Path) -> list[float]:
    data = _by_orekit(path, "Omm").getData()
    mean, tle = data.getKeplerianElementsBlock(), data.getTLEBlock()
    angles = (mean.getI(), mean.getRaan(), mean.getPa(), mean.getAnomaly())
    motion = mean.getMeanMotion() * 86_400.0 / (2.0 * math.pi)
    return [motion, mean.getE(), *map(math.degrees, angles), tle.getBStar()]


def _aem_by_orekit(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in _by_orekit(path, "Aem").getSegments():
        for state in segment.getData().getAngularCoordinates():
            rotation, rate = state.getRotation(), state.getRotationRate()
            numbers += [rotation.getQ1(), rotation.getQ2(), rotation.getQ3(), rotation.getQ0()]
            numbers += map(math.degrees, (rate.getX(), rate.getY(), rate.getZ()))
    return numbers


def _cdm_by_orekit(path: Path) -> list[float]:
    message = _by_orekit(path, "Cdm")
    about = message.getRelativeMetadata()
    numbers = [about.getMissDistance(), about.getRelativeSpeed()]
    numbers += (1e3 * value for value in _components(about.getRelativePosition(), about.getRelativeVelocity()))
    numbers.append(about.getCollisionProbability())
    for segment in message.getSegments():
        block = segment.getData().getStateVectorBlock()
        numbers += _components(block.getPositionVector(), block.getVelocityVector())
        matrix = segment.getData().getRTNCovarianceBlock().getRTNCovarianceMatrix()
        numbers += [matrix.getEntry(row, column) for row, column in _LOWER]
    return numbers


_OREKIT: Final[Mapping[str, Reader]] = {
    "opm": _opm_by_orekit,
    "oem": _oem_by_orekit,
    "omm": _omm_by_orekit,
    "aem": _aem_by_orekit,
    "cdm": _cdm_by_orekit,
}

# oem, anise, sgp4, skyfield


def _oem_by_oem(path: Path) -> list[float]:
    numbers: list[float] = []
    for segment in OrbitEphemerisMessage.open(str(path)).segments:
        for state in segment.states:
            numbers += [*state.position, *state.velocity]
        for covariance in segment.covariances:
            numbers += [covariance.matrix[row, column] for row, column in _LOWER]
    return numbers


def _oem_by_anise(path: Path) -> list[float]:
    records = list(Ephemeris.from_ccsds_oem_file(str(path)))
    numbers = [value for record in records for value in _state_by_anise(record.orbit)]
    for record in records:
        numbers += [record.covar.matrix[row, column] for row, column in _LOWER]
    return numbers


def _opm_by_anise(path: Path) -> list[float]:
    message = Opm.from_ccsds_opm_file(str(path))
    return _state_by_anise(message.orbit) + [message.covariance.matrix[row, column] for row, column in _LOWER]


def _state_by_anise(orbit: Any) -> list[float]:
    return [getattr(orbit, name) for name in ("x_km", "y_km", "z_km", "vx_km_s", "vy_km_s", "vz_km_s")]


def _mean_by_sgp4(satellite: Any) -> list[float]:
    motion = satellite.no_kozai * 1440.0 / (2.0 * math.pi)
    angles = (satellite.inclo, satellite.nodeo, satellite.argpo, satellite.mo)
    return [motion, satellite.ecco, *map(math.degrees, angles), satellite.bstar]


def _omm_by_sgp4(path: Path) -> list[float]:
    satellite = Satrec()
    with path.open() as file:
        omm.initialize(satellite, next(omm.parse_xml(file)))
    return _mean_by_sgp4(satellite)


def _omm_by_skyfield(path: Path) -> list[float]:
    (fields,) = json.loads(path.read_text())
    return _mean_by_sgp4(EarthSatellite.from_omm(load.timescale(builtin=True), fields).model)


def _tle_order(mean: Sequence[float]) -> list[float]:
    motion, eccentricity, inclination, raan, perigee, anomaly, _ = mean
    return [inclination, raan, eccentricity, perigee, anomaly, motion]


def _tle_by_sgp4(path: Path) -> list[float]:
    one, two = path.read_text().splitlines()[-2:]
    return _tle_order(_mean_by_sgp4(Satrec.twoline2rv(one, two)))


def _tle_by_skyfield(path: Path) -> list[float]:
    (satellite,) = load.tle_file(str(path), reload=False)
    return _tle_order(_mean_by_sgp4(satellite.model))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
