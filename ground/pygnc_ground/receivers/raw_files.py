"""Files of raw GNSS measurements, and of the orbits of the GPS satellites, recognised by content."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from pygnc.formats.damage import Damage
from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.gnss.rinex2 import is_rinex2, read_rinex2
from pygnc_ground.gnss.rinex3 import is_rinex3, read_rinex3
from pygnc_ground.gnss.rinex_text import unpacked
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.receivers.raw import RawLog, read_raw
from pygnc_ground.truth.load import SP3_MARK
from pygnc_ground.truth.sp3 import read_sp3_satellites
from pygnc_ground.wording import plural

_HEAD_BYTES: Final = 400
_DAMAGES_SHOWN: Final = 5

NavigationOrbits: TypeAlias = Sp3Orbits | BroadcastOrbits


def is_observation_file(path: Path) -> bool:
    """Return True for a RINEX observation file, also a compact one.

    Raises:
        OSError: The file cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return is_rinex2(head) or is_rinex3(head)


def read_measurements(path: Path) -> GnssMeasurements:
    """Return the measurements in a RINEX observation file, also compressed, or in a receiver's log.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has no measurements of one receiver; the message names file and remedy.
    """
    content = _content(path)
    if _is_sp3(content) or rinex_navigation.recognises(content[:_HEAD_BYTES]):
        raise ValueError(f"{path}: orbits of GPS satellites; give the receiver's file as measurements")
    try:
        if is_rinex3(content[:_HEAD_BYTES]):
            return read_rinex3(content)
        if is_rinex2(content[:_HEAD_BYTES]):
            return read_rinex2(content)
    except ValueError as error:
        raise ValueError(f"{path}: RINEX observation file: {error}") from error
    log = read_raw(path)
    if not (found := log.measurements):
        raise ValueError(
            f"{path}: neither RINEX nor a log with raw measurements of GPS; switch on RXM-RAWX (u-blox), RANGE or"
            " RANGECMP (NovAtel) or MeasEpoch (Septentrio)"
        )
    if len(found) > 1:
        raise ValueError(f"{path}: has raw measurements of several receivers ({', '.join(found)}); separate them")
    return replace(next(iter(found.values())), damage=log.damage)


def read_orbits(paths: Sequence[Path]) -> tuple[NavigationOrbits, list[str]]:
    """Return the orbits in SP3 files, or the broadcast ones in RINEX navigation files and receivers' logs.

    With them are notes about damaged parts of the files.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is neither, or both kinds are given; the message names file and remedy.
    """
    precise, broadcast, notes = list[str](), list[BroadcastOrbits](), list[str]()
    for path in paths:
        content, kind = _content(path), "RINEX navigation file"
        if is_rinex3(content[:_HEAD_BYTES]) or is_rinex2(content[:_HEAD_BYTES]):
            raise ValueError(f"{path}: measurements; give SP3 or RINEX navigation files of the day as orbits")
        try:
            if _is_sp3(content):
                kind = "SP3 file"
                precise.append(content.decode("ascii", "replace"))
                read_sp3_satellites(precise[-1])
            elif rinex_navigation.recognises(content[:_HEAD_BYTES]):
                found = _navigation(content)
                notes += damage_notes(path, found.damage)
                broadcast.append(BroadcastOrbits(found.ephemerides, found.klobuchar))
            else:
                kind = "neither SP3, nor a RINEX navigation file, nor a log with broadcast messages"
                log = _log_with_messages(path)
                notes += damage_notes(path, log.damage)
                broadcast.append(log.broadcast)
        except ValueError as error:
            raise ValueError(f"{path}: {kind}: {error}") from error
    if precise and broadcast:
        raise ValueError("SP3 files and broadcast messages are not used together; give one kind")
    if precise:
        return Sp3Orbits.of(precise), notes
    tables = [one.table for one in broadcast]
    klobuchar = next((one.klobuchar for one in broadcast if one.klobuchar), None)
    return BroadcastOrbits(np.concatenate(tables), klobuchar), notes


def damage_notes(path: Path, damage: Sequence[Damage]) -> list[str]:
    """Return sentences about the first parts of a file that are not used, and the number of the others."""
    places = [one.detail or f"bytes {one.start} to {one.stop} are no message" for one in damage[:_DAMAGES_SHOWN]]
    more = len(damage) - _DAMAGES_SHOWN
    others = [f"{path.name}: {plural(more, 'more damaged part')}; not used"] if more > 0 else []
    return [f"{path.name}: {place}; not used" for place in places] + others


def _content(path: Path) -> bytes:
    """Return the unpacked content.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is empty, or its compressed data are damaged.
    """
    packed = path.read_bytes()
    if not packed:
        raise ValueError(f"{path}: the file is empty; get it again")
    try:
        return unpacked(packed)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_sp3(content: bytes) -> bool:
    return SP3_MARK.match(content) is not None


def _navigation(content: bytes) -> rinex_navigation.Navigation:
    """Return the content of a navigation file.

    Raises:
        ValueError: It has no ephemeris.
    """
    found = rinex_navigation.read(content)
    if not len(found.ephemerides) and not found.damage:
        raise ValueError("no message of a GPS satellite; give a navigation file of GPS")
    if not len(found.ephemerides):
        some = f"{plural(len(found.damage), 'damaged record')}, such as {found.damage[0].detail}"
        raise ValueError(f"no usable message of a GPS satellite ({some}); get the file again")
    return found


def _log_with_messages(path: Path) -> RawLog:
    """Return a log with ephemerides.

    Raises:
        ValueError: There are none.
    """
    found = read_raw(path)
    if not len(found.broadcast.table):
        raise ValueError(
            "the log has no ephemeris beside raw measurements, which date it; switch on RXM-SFRBX (u-blox), RAWEPHEM"
            " (NovAtel) or GPSRawCA (Septentrio), or give a RINEX navigation file"
        )
    return found
