"""CCSDS Orbit Ephemeris Messages (OEM), versions 1 to 3, in keyword = value notation (KVN) and XML.

Sources: CCSDS 502.0-B-3, chapter 5 and section 7.4, and CCSDS 505.0-B-3, chapter 4 (alone or within an NDM). Names of
frames and time systems follow the SANA registries. Every error message names the line.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple
from xml.parsers import expat

import numpy as np

from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, Arc, Ephemeris, choose_object
from pygnc_ground.truth.epochs import OEM_TIME_SYSTEMS, gps_ns_from_ccsds
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray


class Entry(NamedTuple):
    """Value of a keyword, and the number of its line."""

    text: str
    line: int


class StateLine(NamedTuple):
    """One state as text in the file: position in km, velocity in km/s."""

    epoch: str
    components: tuple[str, ...]
    """X, Y, Z, and their derivatives"""
    line: int


@dataclass(frozen=True, slots=True)
class CovarianceText:
    """Covariance as text in the file: its keywords, and the lower triangle in km and km/s."""

    line: int
    keywords: dict[str, str] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Segment:
    """Segment of a message: metadata, and the states and covariances that follow them."""

    line: int
    """First line of the metadata"""
    metadata: dict[str, Entry] = field(default_factory=dict)
    states: list[StateLine] = field(default_factory=list)
    covariances: list[CovarianceText] = field(default_factory=list)


class Covariances(NamedTuple):
    """Covariances of n states.

    Attributes:
        gps_ns: Times in ns since the GPS epoch, shape (n,).
        frames: Names of their axes in capital letters, such as RTN.
        matrices: Covariances of position (m) and velocity (m/s), shape (n, 6, 6).
    """

    gps_ns: IntArray
    frames: list[str]
    matrices: FloatArray


_M_PER_KM = 1e3
_EARTH_FIXED: Final = re.compile(r"(ITRF|IGS|IGB)[-_ ]?\d*|WGS[-_ ]?84|ECEF")
"""Earth-fixed frames that agree to centimetres; GTOD, TDR and EFG are not among them: they omit polar motion (10 m)."""
_INERTIAL: Final = {
    "GCRF": Frame.GCRF,
    "ICRF": Frame.GCRF,
    "EME2000": Frame.EME2000,
    "J2000": Frame.EME2000,
    "TEME": Frame.TEME,
}
_WIDEST_WINDOW: Final = 8
_LARGEST: Final = 1e15


def ephemeris_from_oem(segments: list[Segment], object_id: str | None) -> Ephemeris:
    """Return the orbit of one object, or for None of the only one, with one arc per segment of the message.

    If a segment recommends Hermite interpolation, its degree is used. Otherwise the default degree of `Arc` is used,
    because the states have velocities and Hermite interpolation is more accurate than the recommended Lagrange
    interpolation.

    Raises:
        ValueError: A value is missing, unknown or impossible, or the object does not exist; the message names the line.
    """
    own = segments_of(segments, object_id)
    chosen = _value(own[0], "OBJECT_ID").text
    name = own[0].metadata.get("OBJECT_NAME", Entry("without a name", 0)).text
    frames = ", ".join(dict.fromkeys(_value(segment, "REF_FRAME").text for segment in own))
    return Ephemeris([arc_of(segment) for segment in own], f"OEM, object {chosen} {name}, {frames}")


def segments_of(segments: list[Segment], object_id: str | None) -> list[Segment]:
    """Return the segments with states of one object, or for None of the only one.

    Raises:
        ValueError: There are no states, or the object does not exist or has to be named.
    """
    filled = [segment for segment in segments if segment.states]
    if not filled:
        raise ValueError("the message contains no states; get the ephemeris again")
    chosen = choose_object([_value(segment, "OBJECT_ID").text for segment in filled], object_id)
    return [segment for segment in filled if _value(segment, "OBJECT_ID").text == chosen]


def covariances_of(segment: Segment) -> Covariances:
    """Return the covariances of a segment.

    Raises:
        ValueError: A covariance is not complete or not one; the message names its first line.
    """
    own_frame = _value(segment, "REF_FRAME").text
    times = [_time_ns(segment, Entry(one.keywords.get("EPOCH", ""), one.line)) for one in segment.covariances]
    frames = [one.keywords.get("COV_REF_FRAME", own_frame).upper() for one in segment.covariances]
    matrices = np.array([_matrix(one) for one in segment.covariances]).reshape(-1, 6, 6)
    return Covariances(np.array(times, dtype=np.int64), frames, matrices)


def _matrix(text: CovarianceText) -> FloatArray:
    matrix = np.zeros((6, 6))
    rows, columns = np.tril_indices(6)
    try:
        matrix[rows, columns] = [float(number) for number in text.numbers]
    except ValueError:
        raise ValueError(
            f"line {text.line}: the covariance that begins here is not a lower triangle of 21 numbers; get the"
            " ephemeris again"
        ) from None
    matrix[columns, rows] = matrix[rows, columns]
    if not (np.isfinite(matrix).all() and np.linalg.eigvalsh(matrix)[0] >= -1e-6 * matrix.trace()):
        raise ValueError(f"line {text.line}: the numbers that begin here are not a covariance; get the ephemeris again")
    return _M_PER_KM**2 * matrix


def arc_of(segment: Segment) -> Arc:
    """Return the states of a segment.

    Raises:
        ValueError: A value is missing, unknown or impossible; the message names the line.
    """
    centre = _value(segment, "CENTER_NAME")
    if centre.text.upper() != "EARTH":
        raise ValueError(
            f"line {centre.line}: the centre is {centre.text}; get an ephemeris whose CENTER_NAME is EARTH"
        )
    state = np.array([_components(line) for line in segment.states])
    time_ns = _times(segment)
    return Arc(
        gps_ns=time_ns,
        position_m=_M_PER_KM * state[:, :3],
        velocity_mps=_M_PER_KM * state[:, 3:],
        frame=_frame(_value(segment, "REF_FRAME")),
        window=_window(segment.metadata),
        usable_ns=_usable_ns(segment, time_ns),
    )


def _value(segment: Segment, keyword: str) -> Entry:
    entry = segment.metadata.get(keyword)
    if entry is None or not entry.text:
        raise ValueError(f"line {segment.line}: {keyword} is missing in the metadata that begin here; add it")
    return entry


def _frame(name: Entry) -> Frame:
    frame = name.text.upper()
    if _EARTH_FIXED.fullmatch(frame):
        return Frame.ITRF
    if frame not in _INERTIAL:
        raise ValueError(
            f"line {name.line}: unknown frame {name.text!r}; choose from ITRFyyyy, IGSyy, WGS84, ECEF,"
            f" {', '.join(_INERTIAL)}, or convert the states"
        )
    return _INERTIAL[frame]


def _times(segment: Segment) -> IntArray:
    """Return the times of the states in nanoseconds since the GPS epoch, shape (s,)."""
    time_ns = np.array([_time_ns(segment, Entry(line.epoch, line.line)) for line in segment.states], dtype=np.int64)
    backwards = np.flatnonzero(np.diff(time_ns) <= 0)
    if backwards.size:
        line = segment.states[backwards[0] + 1]
        raise ValueError(f"line {line.line}: {line.epoch} is not later than the state before; sort the states")
    return time_ns


def _time_ns(segment: Segment, epoch: Entry) -> int:
    time_system = _value(segment, "TIME_SYSTEM")
    name = time_system.text.upper()
    if name not in OEM_TIME_SYSTEMS:
        raise ValueError(
            f"line {time_system.line}: unknown time system {time_system.text!r}; use {', '.join(OEM_TIME_SYSTEMS)}"
            " and convert the times"
        )
    try:
        return gps_ns_from_ccsds(epoch.text, name)
    except ValueError as error:
        raise ValueError(f"line {epoch.line}: {error}") from error


def _usable_ns(segment: Segment, time_ns: IntArray) -> tuple[int, int]:
    """Return the valid time span; states outside it serve only for interpolation near its ends."""
    begin_ns, end_ns = int(time_ns[0]), int(time_ns[-1])
    begin, end = (segment.metadata.get(f"USEABLE_{side}_TIME") for side in ("START", "STOP"))
    if begin is not None:
        begin_ns = max(begin_ns, _time_ns(segment, begin))
    if end is not None:
        end_ns = min(end_ns, _time_ns(segment, end))
    if begin_ns > end_ns:
        raise ValueError(
            f"line {segment.line}: all states of this segment are outside its useable time; correct USEABLE_START_TIME"
            " and USEABLE_STOP_TIME"
        )
    return begin_ns, end_ns


def _window(metadata: dict[str, Entry]) -> int:
    """Return the window for the recommended Hermite degree, or the default."""
    degree = metadata.get("INTERPOLATION_DEGREE")
    if degree is None or metadata.get("INTERPOLATION", degree).text.upper() != "HERMITE":
        return HERMITE_WINDOW
    if not re.fullmatch(r"[0-9]{1,2}", degree.text):
        raise ValueError(
            f"line {degree.line}: the interpolation degree {degree.text!r} is not a whole number from 0 to 99;"
            " correct it"
        )
    return min(max((int(degree.text) + 2) // 2, 2), _WIDEST_WINDOW)


def _components(line: StateLine) -> list[float]:
    """Return position in km and velocity in km/s."""
    try:
        numbers = [float(component) for component in line.components]
    except ValueError as error:
        raise ValueError(
            f"line {line.line}: the state contains text that is not a number ({error}); correct it"
        ) from error
    if not all(math.isfinite(number) and abs(number) < _LARGEST for number in numbers):
        raise ValueError(f"line {line.line}: the state contains a number that is not finite; remove the state")
    return numbers


class _Block(Enum):
    HEADER = auto()
    METADATA = auto()
    STATES = auto()
    COVARIANCE = auto()


_DELIMITERS = {
    "META_START": ({_Block.HEADER, _Block.STATES}, _Block.METADATA),
    "META_STOP": ({_Block.METADATA}, _Block.STATES),
    "COVARIANCE_START": ({_Block.STATES}, _Block.COVARIANCE),
    "COVARIANCE_STOP": ({_Block.COVARIANCE}, _Block.STATES),
}
"""Block that each delimiter ends, and block that it begins."""


def read_kvn(text: str) -> list[Segment]:
    """Return the segments of a KVN message; comments are ignored.

    Raises:
        ValueError: A line is not allowed where it stands; the message names it.
    """
    segments: list[Segment] = []
    block = _Block.HEADER
    number = 0
    for number, line in _content(text):
        if line in _DELIMITERS:
            ends, begins = _DELIMITERS[line]
            if block not in ends:
                raise ValueError(
                    f"line {number}: {line} is not allowed in the {block.name.lower()}; get the ephemeris again"
                )
            block = begins
            if line == "META_START":
                segments.append(Segment(number))
        elif block is _Block.METADATA:
            keyword, value = _assignment(number, line)
            segments[-1].metadata[keyword] = Entry(value, number)
        elif block is _Block.STATES:
            segments[-1].states.append(_state(number, line))
        elif block is _Block.COVARIANCE:
            _add_covariance_line(segments[-1].covariances, number, line)
        elif block is _Block.HEADER:
            _assignment(number, line)
    if block is not _Block.STATES:
        raise ValueError(f"line {number}: the message ends in its {block.name.lower()}; get the file again")
    return segments


def _content(text: str) -> Iterator[tuple[int, str]]:
    """Yield non-empty lines with their numbers."""
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content and content.split(maxsplit=1)[0] != "COMMENT":
            yield number, content


def _assignment(number: int, line: str) -> tuple[str, str]:
    keyword, equals, value = line.partition("=")
    if not equals:
        raise ValueError(f"line {number}: {line[:40]!r} is not KEYWORD = value; correct the line")
    return keyword.strip(), value.strip()


def _add_covariance_line(covariances: list[CovarianceText], number: int, line: str) -> None:
    keyword, equals, value = line.partition("=")
    if not covariances or keyword.strip() == "EPOCH":
        covariances.append(CovarianceText(number))
    if equals:
        covariances[-1].keywords[keyword.strip()] = value.strip()
    else:
        covariances[-1].numbers.extend(line.split())


def _state(number: int, line: str) -> StateLine:
    """Return a state; an acceleration is ignored."""
    epoch, *components = line.split()
    if len(components) not in (6, 9):
        raise ValueError(
            f"line {number}: the state has {len(components)} numbers after the time instead of 6 or 9; complete it or"
            " remove it"
        )
    return StateLine(epoch, tuple(components[:6]), number)


_STATE = {"X": "km", "Y": "km", "Z": "km", "X_DOT": "km/s", "Y_DOT": "km/s", "Z_DOT": "km/s"}


def read_xml(content: bytes) -> list[Segment]:
    """Return the segments of all messages in an XML document; comments are ignored.

    Raises:
        ValueError: The document is not XML, contains no OEM, or a state is incomplete; the message names the line.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as error:
        raise ValueError(
            f"line {error.lineno}: damaged XML: {expat.ErrorString(error.code)}; get the file again"
        ) from error
    except LookupError as error:
        raise ValueError(f"line 1: {error}; convert the document to UTF-8") from error
    if not reader.is_oem:
        raise ValueError(
            "the XML document has no element 'oem', so it is not an Orbit Ephemeris Message; name an OEM file"
        )
    return reader.segments


class _Reader:
    """Event handlers of the XML parser."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.is_oem = False
        self._path: list[str] = []
        self._text = ""
        self._state: dict[str, str] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.CharacterDataHandler = self._characters
        self.parser.EndElementHandler = self._end

    @property
    def _line(self) -> int:
        return self.parser.CurrentLineNumber

    def _doctype(self, *_declaration: object) -> None:
        raise ValueError(f"line {self._line}: a CCSDS message must not have a document type; remove it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = name.rpartition(" ")[2]
        self._path.append(element)
        self._text = ""
        self.is_oem |= element == "oem"
        if element == "segment":
            self.segments.append(Segment(self._line))
        elif element == "stateVector":
            if not self.segments:
                raise ValueError(f"line {self._line}: the state is outside a segment; get the file again")
            self._state = {}
        elif element == "covarianceMatrix" and self.segments:
            self.segments[-1].covariances.append(CovarianceText(self._line))
        elif self._within("stateVector") and element in _STATE:
            unit = attributes.get("units", _STATE[element])
            if unit.lower() != _STATE[element]:
                raise ValueError(f"line {self._line}: {element} is in {unit} instead of {_STATE[element]}; convert it")

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, _name: str) -> None:
        if self._within("metadata"):
            self.segments[-1].metadata[self._path[-1]] = Entry(self._text.strip(), self._line)
        elif self._within("stateVector"):
            self._state[self._path[-1]] = self._text.strip()
        elif self._within("covarianceMatrix"):
            covariance = self.segments[-1].covariances[-1]
            if re.fullmatch(r"C[XYZ](_DOT)?_[XYZ](_DOT)?", self._path[-1]):
                covariance.numbers.append(self._text.strip())
            else:
                covariance.keywords[self._path[-1]] = self._text.strip()
        elif self._path[-1] == "stateVector":
            self._close_state()
        self._path.pop()

    def _within(self, parent: str) -> bool:
        """Return True if a segment is open and the current element is a child of `parent`."""
        return bool(self.segments) and len(self._path) > 1 and self._path[-2] == parent

    def _close_state(self) -> None:
        missing = [name for name in ("EPOCH", *_STATE) if name not in self._state]
        if missing:
            raise ValueError(
                f"line {self._line}: the state that ends here lacks {', '.join(missing)}; complete it or remove it"
            )
        components = tuple(self._state[name] for name in _STATE)
        self.segments[-1].states.append(StateLine(self._state["EPOCH"], components, self._line))
