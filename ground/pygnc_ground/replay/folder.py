"""Folder for the results of a replay. It holds those of one replay only, which `replay.json` describes."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np

import pygnc
from pygnc.configuration.settings import Settings
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc.host.settings_slots import named_values
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.tables.declaration import tables_of

MARKER: Final = "replay.json"
STATE: Final = "orbit_state.json"
REPORT: Final = "report.html"
PREDICTION: Final = "predicted.oem"
RAW: Final = "raw GNSS measurements"
"""End of the name of the filters of raw measurements."""
MESSAGES: Final = ("orbit.oem", "orbit.omm", "orbit.opm", "orbit.tle")
"""Messages that `pygnc orbit` writes."""
_TABLES: Final = tuple(f"{table}.{form}" for table in tables_of("replay") for form in ("parquet", "csv"))
_FILES: Final = (MARKER, REPORT, STATE, *MESSAGES, PREDICTION, *_TABLES)
"""Files that `pygnc replay` or `pygnc orbit` writes."""


class Origin(msgspec.Struct, frozen=True):
    """Origin of the results of a replay.

    Attributes:
        software: Name and version of the software.
        spacecraft: Radio id of our satellite.
        filter_name: Filter of the orbit.
        inputs: SHA-256 of each input file by path.
        settings: Settings that differ from the defaults, by dotted name.
        settings_sha256: SHA-256 of all settings.
        earth_orientation: Identification of the Earth orientation table.
    """

    software: str
    spacecraft: int
    filter_name: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    settings_sha256: str
    earth_orientation: str

    @property
    def metadata(self) -> dict[str, str]:
        """Entries for the metadata of a Parquet file."""
        fields = msgspec.to_builtins(self)
        return {name: value if isinstance(value, str) else _json(value).decode() for name, value in fields.items()}


class StoredState(msgspec.Struct, frozen=True):
    """Content of `orbit_state.json`: the newest state of the orbit filter, and what its prediction needs.

    Attributes:
        gps_ms: GPS milliseconds of the state; None without an orbit.
        x: Position (m) and velocity (m/s) in GCRF, log drag factor, and empirical acceleration (m/s^2) along radial,
            transverse and normal.
        sqrt_covariance: Lower triangle, row by row, of L with the covariance L L'.
        orbit: Settings of the orbit filter.
        earth_orientation: Identification of the Earth orientation table.
        prediction: State and settings from which `pygnc orbit` predicts over days; None after `pygnc replay`.
    """

    gps_ms: int | None
    x: list[float]
    sqrt_covariance: list[float]
    orbit: OrbitSettings
    earth_orientation: str
    prediction: "StoredState | None" = None

    def __post_init__(self) -> None:
        if self.gps_ms is not None and (len(self.x), len(self.sqrt_covariance)) != (SIZE, SIZE * (SIZE + 1) // 2):
            raise ValueError("the state is incomplete")

    @classmethod
    def of(cls, state: OrbitState | None, settings: OrbitSettings, earth_orientation: str) -> Self:
        """Return a state and the settings of its filter."""
        return cls(
            gps_ms=None if state is None else state.gps_ms,
            x=[] if state is None else state.x.tolist(),
            sqrt_covariance=[] if state is None else state.sqrt_covariance[np.tril_indices(SIZE)].tolist(),
            orbit=settings,
            earth_orientation=earth_orientation,
        )

    @property
    def state(self) -> OrbitState | None:
        """The state; None without an orbit."""
        if self.gps_ms is None:
            return None
        root = np.zeros((SIZE, SIZE))
        root[np.tril_indices(SIZE)] = self.sqrt_covariance
        return OrbitState(self.gps_ms, np.array(self.x), root)


class _Marker(msgspec.Struct, frozen=True):
    """Content of `replay.json`; `files` may exist in the folder and belong to the replay."""

    origin: Origin
    files: list[str]


def origin_of(inputs: Mapping[str, str], settings: Settings, filter_name: str, earth_orientation: str) -> Origin:
    """Return the origin of results; `inputs` are the SHA-256 of the input files by path."""
    every, defaults = named_values(settings), named_values(Settings())
    return Origin(
        software=f"PyGNC {pygnc.__version__}",
        spacecraft=settings.formation.own_id,
        filter_name=filter_name,
        inputs=dict(inputs),
        settings={name: value for name, value in every.items() if value != defaults[name]},
        settings_sha256=hashlib.sha256(_json(settings)).hexdigest(),
        earth_orientation=earth_orientation,
    )


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def write_state(folder: Path, stored: StoredState) -> Path:
    """Write `orbit_state.json`; return its path."""
    (folder / STATE).write_bytes(_json(stored) + b"\n")
    return folder / STATE


def read_state(folder: Path) -> StoredState:
    """Return the content of `orbit_state.json`.

    Raises:
        OSError: The file cannot be read.
        ReplayError: There is none, or it is damaged.
    """
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=StoredState)
    except FileNotFoundError:
        remedy = "name a folder that pygnc replay or pygnc orbit of this version wrote"
        raise ReplayError(f"{folder}: has no {STATE}; {remedy}") from None
    except msgspec.MsgspecError as error:
        raise ReplayError(f"{folder / STATE}: damaged: {error}; repeat the replay") from None


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Raise ReplayError unless the folder is missing or empty, or holds nothing in the way of new results.

    With `overwrite`, results of another replay are not in the way.

    Raises:
        OSError: The folder cannot be read.
    """
    present = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
    if not present:
        return
    owned = _owned(folder)
    if not overwrite:
        if owned:
            raise ReplayError(
                f"{folder}: holds the results of another replay; replace them by --overwrite, or name another folder"
                " by --out"
            )
        raise ReplayError(f"{folder}: not empty, and not written by pygnc replay; name another folder by --out")
    foreign = sorted(present.intersection(_FILES) - owned)
    if foreign:
        raise ReplayError(
            f"{folder / foreign[0]}: not written by the replay of {MARKER}, so it is not replaced; move it away, or"
            " name another folder by --out"
        )


@contextmanager
def created(folder: Path) -> Iterator[None]:
    """Create a missing folder before the work of minutes that fills it; remove it again if that leaves it empty.

    Raises:
        OSError: The folder cannot be created.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in missing:
                each.rmdir()


def begin(folder: Path, origin: Origin) -> None:
    """Remove the results of another replay from the folder, and mark it as that of a new one.

    Raises:
        OSError: A file cannot be removed or written.
    """
    for name in sorted(_owned(folder) - {MARKER}):
        (folder / name).unlink(missing_ok=True)
    marker = _Marker(origin, list(_FILES))
    (folder / MARKER).write_bytes(msgspec.json.format(_json(marker)) + b"\n")


def _owned(folder: Path) -> set[str]:
    """Return the files that the last replay into the folder may have written; none without a valid marker."""
    marker = _marker(folder)
    return set() if marker is None else {*marker.files}.intersection(_FILES)


def _marker(folder: Path) -> _Marker | None:
    """Return the content of `replay.json`; None if it is missing or not valid."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=_Marker)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
