"""Orbit Ephemeris Messages in XML (CCSDS 505.0-B-3, chapter 4), alone or within an NDM."""

from xml.parsers import expat

from pygnc_ground.truth.oem_segment import Entry, Segment, StateLine

_STATE = {"X": "km", "Y": "km", "Z": "km", "X_DOT": "km/s", "Y_DOT": "km/s", "Z_DOT": "km/s"}


def read_xml(content: bytes) -> list[Segment]:
    """The segments of all messages in a document, covariances and comments left out.

    Raises:
        ValueError: It is no XML, holds no such message, or a state is incomplete; the message names the line.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno}: damaged XML: {expat.ErrorString(error.code)}") from error
    except LookupError as error:
        raise ValueError(f"line 1: {error}; convert the document to UTF-8") from error
    if not reader.is_oem:
        raise ValueError("the XML document holds no element 'oem', so it is no Orbit Ephemeris Message")
    return reader.segments


class _Reader:
    """Follows the elements of a document."""

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
        raise ValueError(f"line {self._line}: a document type has no place in a CCSDS message; remove it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = name.rpartition(" ")[2]
        self._path.append(element)
        self._text = ""
        self.is_oem |= element == "oem"
        if element == "segment":
            self.segments.append(Segment(self._line))
        elif element == "stateVector":
            if not self.segments:
                raise ValueError(f"line {self._line}: a state stands outside a segment")
            self._state = {}
        elif self._within("stateVector") and element in _STATE:
            unit = attributes.get("units", _STATE[element])
            if unit.lower() != _STATE[element]:
                raise ValueError(f"line {self._line}: {element} is in {unit}, not in {_STATE[element]}; convert it")

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, _name: str) -> None:
        if self._within("metadata"):
            self.segments[-1].metadata[self._path[-1]] = Entry(self._text.strip(), self._line)
        elif self._within("stateVector"):
            self._state[self._path[-1]] = self._text.strip()
        elif self._path[-1] == "stateVector":
            self._close_state()
        self._path.pop()

    def _within(self, parent: str) -> bool:
        """Whether this element is a child of `parent` in a segment."""
        return bool(self.segments) and len(self._path) > 1 and self._path[-2] == parent

    def _close_state(self) -> None:
        missing = [name for name in ("EPOCH", *_STATE) if name not in self._state]
        if missing:
            raise ValueError(f"line {self._line}: the state that ends here lacks {', '.join(missing)}")
        components = tuple(self._state[name] for name in _STATE)
        self.segments[-1].states.append(StateLine(self._state["EPOCH"], components, self._line))
