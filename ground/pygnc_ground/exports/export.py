"""Files of estimates for others: which there are, and what each of them cannot carry."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from pygnc.common.mean_elements import MeanElements
from pygnc.estimators.orbit.elements_fit import FitError
from pygnc_ground.exports.aem import aem
from pygnc_ground.exports.cdm import cdm
from pygnc_ground.exports.choices import Kind, Notation
from pygnc_ground.exports.estimates import STEP_MS, Estimates
from pygnc_ground.exports.mcap_file import mcap_bytes
from pygnc_ground.exports.message import Message
from pygnc_ground.exports.orbit_messages import Label, OemForm, oem, omm, opm, utc
from pygnc_ground.exports.two_lines import losses, tle_text


class Options(NamedTuple):
    """Form of the files.

    Attributes:
        kinds: Kinds in their order.
        notation: Notation of the messages.
        name: Name of the satellite.
        designator: International designator.
        predict_h: Time of predictions in h.
    """

    kinds: Sequence[Kind]
    notation: Notation = Notation.KVN
    name: str = ""
    designator: str = ""
    predict_h: float = 24.0


class File(NamedTuple):
    """File to write; without a content, `note` is the reason why there is none."""

    name: str
    content: bytes = b""
    note: str = ""


STARLINK: Final = OemForm(frame="ITRF")
"""Space Safety by Starlink: states in ITRF or EME2000 at UTC, with a covariance at the time of each state."""
AWS: Final = OemForm(frame="ITRF2000", centre="Earth", method="LAGRANGE")
"""AWS Ground Station: KVN of version 2.0, centre `Earth`, EME2000 or ITRF2000, UTC, with a method of interpolation."""
_PROFILES: Final = {Kind.STARLINK: STARLINK, Kind.AWS: AWS}
_NO_ORBIT: Final = "there is no orbit"
_ESTIMATED: Final = "Estimated from measurements of a GNSS receiver"
_TURNED: Final = (
    "Without Earth orientation at this time, GCRF and TEME are wrong by up to 0.004 deg (0.5 km in low orbit)"
)
"""Remark of messages whose standard has no Earth-fixed frame for their content; UT1 is within 0.9 s of UTC."""


def files(estimates: Estimates, options: Options) -> Iterator[File]:
    """Yield the files of all kinds; what a kind cannot carry is in the note of its file."""
    for kind in options.kinds:
        yield from _WRITERS[kind](estimates, options, kind)


def element_files(
    elements: MeanElements, error_m: Sequence[float], options: Options, comments: Sequence[str] = ()
) -> Iterator[File]:
    """Yield OMM and TLE of mean elements with their errors; files of other kinds need a replay."""
    named = replace(elements, name=options.name or elements.name, designator=options.designator or elements.designator)
    for kind in options.kinds:
        if kind is Kind.OMM:
            yield _message("orbit.omm", omm(named, error_m, named.epoch_gps_ms, comments), options.notation)
        elif kind is Kind.TLE:
            note = "; ".join(losses(named))
            yield File("orbit.tle", tle_text(named, error_m, comments).encode("ascii"), note)
        else:
            yield File(
                f"orbit.{kind}", note="mean elements have no covariance and no attitude; export a replay instead"
            )


def _label(estimates: Estimates, options: Options) -> Label:
    return Label(options.name, options.designator, estimates.created_gps_ms)


def _message(name: str, message: Message, notation: Notation) -> File:
    """Return a message in the notation, or in KVN if its standard does not have the notation."""
    note = ""
    if notation is Notation.JSON and message.kind != "OMM":
        notation, note = Notation.KVN, f"{message.kind} has no notation in JSON; it is written in KVN"
    ending = "" if notation is Notation.KVN else f".{notation}"
    return File(name + ending, message.text(notation).encode("ascii"), note)


def _remarks(estimates: Estimates, gps_ms: int) -> tuple[str, ...]:
    """Return the remark of inertial axes from a time on, if there is one."""
    return () if estimates.frame(gps_ms) == "GCRF" else (_TURNED,)


def _with_note(file: File, notes: Sequence[str]) -> File:
    return file._replace(note="; ".join(filter(None, (file.note, *notes))))


def _opm(estimates: Estimates, options: Options, _: Kind) -> Iterator[File]:
    if estimates.newest is None:
        yield File("orbit.opm", note=_NO_ORBIT)
        return
    newest = estimates.of_filter([estimates.newest])
    yield _message("orbit.opm", opm(newest, _label(estimates, options), (_ESTIMATED,)), options.notation)


def _oem(estimates: Estimates, options: Options, _: Kind) -> Iterator[File]:
    states = estimates.states(step_ms=STEP_MS)
    if states is None:
        yield File("orbit.oem", note=_NO_ORBIT)
        return
    message = oem(states, _label(estimates, options), (_ESTIMATED,))
    yield _message("orbit.oem", message, options.notation)


def _prediction(estimates: Estimates, options: Options, kind: Kind) -> Iterator[File]:
    """Yield the prediction; those for receivers with rules of their own are in KVN."""
    name = "predicted.oem" if kind is Kind.PREDICTION else f"{kind}.oem"
    states = estimates.predicted(options.predict_h, in_itrf=kind in _PROFILES)
    if states is None:
        yield File(name, note=_NO_ORBIT)
        return
    comment = f"Predicted from the newest measurement, {utc(int(states.gps_ms[0]))}Z"
    message = oem(states, _label(estimates, options), (comment,), _PROFILES.get(kind))
    yield _message(name, message, Notation.KVN if kind in _PROFILES else options.notation)


def _elements(estimates: Estimates, options: Options, kind: Kind) -> Iterator[File]:
    try:
        fitted = estimates.fitted
    except FitError as error:
        yield File(f"orbit.{kind}", note=str(error))
        return
    if fitted is None or estimates.newest is None:
        yield File(f"orbit.{kind}", note=_NO_ORBIT)
        return
    remarks = _remarks(estimates, estimates.newest.gps_ms)
    for file in element_files(fitted.elements, fitted.error_m, options._replace(kinds=(kind,)), remarks):
        yield _with_note(file, remarks)


def _aem(estimates: Estimates, options: Options, _: Kind) -> Iterator[File]:
    if estimates.attitudes is None:
        yield File("attitude.aem", note="there is no attitude")
        return
    remarks = _remarks(estimates, int(estimates.attitudes.gps_ms[0]))
    message = aem(estimates.attitudes, _label(estimates, options), ("Estimated from sensor samples", *remarks))
    yield _with_note(_message("attitude.aem", message, options.notation), remarks)


def _cdms(estimates: Estimates, options: Options, _: Kind) -> Iterator[File]:
    found = [*estimates.approaches()]
    if not found:
        yield File("partner.cdm", note="there is no predicted encounter with a partner")
    for approach in found:
        if isinstance(approach, str):
            yield File("partner.cdm", note=approach)
            continue
        orbit = re.sub(r"[^a-z0-9]+", "-", approach.orbit)
        name = f"partner-{approach.partner}-{orbit}.cdm"
        remarks = _remarks(estimates, approach.gps_ms)
        message = cdm(approach, _label(estimates, options), remarks)
        yield _with_note(_message(name, message, options.notation), remarks)


def _mcap(estimates: Estimates, _: Options, __: Kind) -> Iterator[File]:
    itrf = estimates.states(in_itrf=True)
    try:
        yield File("estimates.mcap", mcap_bytes(estimates.tables, itrf, estimates.attitudes))
    except ModuleNotFoundError as error:
        yield File("estimates.mcap", note=f"needs the library {error.name}: pip install 'pygnc-ground[mcap]'")


_WRITERS: Final[Mapping[Kind, Callable[[Estimates, Options, Kind], Iterator[File]]]] = {
    Kind.OPM: _opm,
    Kind.OEM: _oem,
    Kind.OMM: _elements,
    Kind.TLE: _elements,
    Kind.AEM: _aem,
    Kind.CDM: _cdms,
    Kind.MCAP: _mcap,
    Kind.PREDICTION: _prediction,
    Kind.STARLINK: _prediction,
    Kind.AWS: _prediction,
}
