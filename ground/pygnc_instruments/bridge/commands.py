"""What clients can ask for, whatever dialect they speak."""

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Status:
    """How bridge and unit are."""


@dataclass(frozen=True, slots=True)
class Describe:
    """What the unit can say, and its fields: names, units, legal values."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Begin or end the readings for this client."""

    on: bool


@dataclass(frozen=True, slots=True)
class AskFields:
    """Return fields: those in effect (GF) or in EEPROM (RF). None: all that the unit has."""

    stored: bool
    ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class PutFields:
    """Change fields: in effect (SF) or in EEPROM (WF)."""

    stored: bool
    values: dict[int, int]


@dataclass(frozen=True, slots=True)
class StartLog:
    """Write readings to a file.

    Attributes:
        file_name: "" for one made of the date.
        user: whose log it is, "" for nobody's.
        access_token: of that user, for the upload; never shown.
        storage: where the file is copied to when it is complete, "" for where the bridge was told to, if it was.
    """

    file_name: str = ""
    user: str = ""
    access_token: str = field(default="", repr=False)
    storage: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StopLog:
    """Close the file."""


@dataclass(frozen=True, slots=True)
class ListFiles:
    """Name the log files."""


@dataclass(frozen=True, slots=True)
class LoadFile:
    """Return what a log file holds."""

    name: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Write firmware into the unit.

    Attributes:
        image: the firmware.
        confirmed: whether the client has said that it means it.
        recover: whether an earlier upgrade has left the unit in its bootloader.
        sha256: of the image, as its maker tells it; "" to do without.
    """

    image: bytes = field(repr=False)
    confirmed: bool
    recover: bool = False
    sha256: str = ""


Command: TypeAlias = (
    Status | Describe | Stream | AskFields | PutFields | StartLog | StopLog | ListFiles | LoadFile | Upgrade
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command and the word that the client used for it, by which it knows the answer."""

    command: Command
    word: str
