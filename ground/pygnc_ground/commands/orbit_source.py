"""Orbit that a user names: the folder of a replay, a log, mean elements, or an Orbit Ephemeris Message."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.sgp4 import Sgp4Error
from pygnc.estimators.orbit.elements_orbit import elements_state
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.state import OrbitState
from pygnc.formats.elements import parse_elements
from pygnc_ground.commands.orbit_replay import replay_with_true_noise
from pygnc_ground.exports.estimates import Estimates
from pygnc_ground.orbit.uncertain import UncertainOrbit
from pygnc_ground.replay import folder
from pygnc_ground.replay.files import RecordedFiles, flight_settings
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, NS_PER_MS, Arc, Ephemeris
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.oem import read_kvn, read_xml
from pygnc_system.files import data_file

_STEP_MS: Final = 60_000
_ELEMENTS: Final = re.compile(rb'\s*(<|\{\s*"|\[\s*\{|CCSDS_OMM_VERS)|([^\n]{0,60}\r?\n)?1 [ 0-9A-Z]{5}[A-Z ] ')
"""Beginning of an OMM, or of a TLE with or without a line of the name."""


class OrbitSource(NamedTuple):
    """Orbit of a source.

    Attributes:
        description: Kind of the source.
        begin_ms: Time of the newest state, epoch of the elements, or begin of the file, GPS ms.
        end_ms: Last time for which the source has an orbit, GPS ms; None if it can be predicted further.
        over: Function that returns the orbit between two times, GPS ms.
        estimated: Orbit at the times of the fixes, if the source has it.
    """

    description: str
    begin_ms: int
    end_ms: int | None
    over: Callable[[int, int], UncertainOrbit]
    estimated: UncertainOrbit | None = None


def read_source(paths: Sequence[Path], config: Path | None, object_id: str | None) -> OrbitSource:
    """Return the orbit of a folder or file, or of several logs of one receiver.

    Raises:
        OSError: A file cannot be read.
        ValueError: The kind is unknown, or the file is damaged or has no orbit; the message names it.
    """
    (first, *others) = paths
    orbit = OrbitFilter(flight_settings(config).orbit, read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
    if others:
        return _of_log(paths, config)
    if first.is_dir():
        found = Estimates.read(first)
        source = _predicted(first, "newest state of a replay", found.newest, found.orbit)
        if (first / folder.PREDICTION).exists():
            source = _of_oem(first / folder.PREDICTION, None, orbit)
        return source._replace(estimated=_estimated(found))
    with first.open("rb") as file:
        start = file.read(400)
    start = start.removeprefix(b"\xef\xbb\xbf")
    if start.startswith(b"CCSDS_OEM_VERS") or (start.lstrip().startswith(b"<") and b"oem" in start):
        return _of_oem(first, object_id, orbit)
    return _of_elements(first, orbit) if _ELEMENTS.match(start) else _of_log(paths, config)


def _of_elements(path: Path, orbit: OrbitFilter) -> OrbitSource:
    try:
        elements = parse_elements(path.read_bytes()).elements
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error

    def over(begin_ms: int, end_ms: int) -> UncertainOrbit:
        times = range(begin_ms - _STEP_MS, end_ms + 2 * _STEP_MS, _STEP_MS)
        try:
            states = [elements_state(elements, ms, orbit.frames, orbit.settings) for ms in times]
        except Sgp4Error as error:
            raise ValueError(f"{path}: {error}; get newer elements") from error
        return UncertainOrbit.from_states(states, orbit.frames)

    return OrbitSource(f"mean elements of {elements.description}", elements.epoch_gps_ms, None, over)


def _of_oem(path: Path, object_id: str | None, orbit: OrbitFilter) -> OrbitSource:
    content = path.read_bytes()
    try:
        segments = (
            read_xml(content) if content.lstrip().startswith(b"<") else read_kvn(content.decode(errors="replace"))
        )
        found = UncertainOrbit.from_oem(segments, object_id, orbit.frames.orientation)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    begin_ms, end_ms = found.ephemeris.span_gps_ms
    return OrbitSource("orbit ephemeris message", begin_ms, end_ms, lambda _begin_ms, _end_ms: found, found)


def _of_log(paths: Sequence[Path], config: Path | None) -> OrbitSource:
    files = RecordedFiles(sense=tuple(paths), config=config)
    context = files.context()
    try:
        replay = replay_with_true_noise(files, context)
    except ReplayError as error:
        raise ValueError(f"{error}; or name mean elements, an OEM file, or the folder of a replay") from error
    found = Estimates.of(replay, context.orientation)
    source = _predicted(paths[0], "newest state of a log", found.newest, found.orbit)
    return source._replace(estimated=_estimated(found))


def _estimated(found: Estimates) -> UncertainOrbit | None:
    """Return the orbit at the times of the fixes."""
    states = found.states(in_itrf=True)
    if states is None:
        return None
    gps_ns = NS_PER_MS * states.gps_ms
    span = int(gps_ns[0]), int(gps_ns[-1])
    arc = Arc(gps_ns, states.states[:, :3], states.states[:, 3:], Frame.ITRF, HERMITE_WINDOW, span)
    return UncertainOrbit(Ephemeris([arc], "replay"), gps_ns, states.covariance_rtn)


def _predicted(path: Path, description: str, newest: OrbitState | None, orbit: OrbitFilter) -> OrbitSource:
    """Return the prediction from a state."""
    if newest is None:
        raise ValueError(f"{path}: has no orbit, because no fix was used")

    def over(begin_ms: int, end_ms: int) -> UncertainOrbit:
        if begin_ms < newest.gps_ms:
            raise ValueError(f"{path}: the time is before the newest state, from which the orbit is predicted")
        states = [newest]
        while states[-1].gps_ms < max(end_ms, begin_ms + _STEP_MS):
            next_ms = begin_ms if states[-1].gps_ms < begin_ms else states[-1].gps_ms + _STEP_MS
            states.append(orbit.predict(next_ms, states[-1]))
        return UncertainOrbit.from_states([state for state in states if state.gps_ms >= begin_ms], orbit.frames)

    return OrbitSource(description, newest.gps_ms, None, over)
