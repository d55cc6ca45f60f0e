"""Inputs that once violated a property of a parser, and a seeded sample of mutations; `make fuzz` does more."""

import random
import struct

import pytest

from pygnc.formats import journal
from tests.fuzz.records import seal_checkpoint
from tests.fuzz.settings import seal_records, seal_trial
from tests.fuzz.targets import make_targets


def make_old_elements() -> bytes:
    values = ("0016-09-20T12:25:40.104", "15.", "0.0", "0.0", "1", "+1", "+1", "-1")
    names = (
        "EPOCH",
        "MEAN_MOTION",
        "ECCENTRICITY",
        "INCLINATION",
        "RA_OF_ASC_NODE",
        "ARG_OF_PERICENTER",
        "MEAN_ANOMALY",
    )
    lines = [f"{name} = {value}" for name, value in zip((*names, "BSTAR"), values, strict=True)]
    return "\n".join(["CCSDS_OMM_VERS = 2.0", *lines]).encode()


TARGETS = make_targets()
NESTED = b"\x91" * 2000
CORPUS = {
    "a slot that is no text": ("slots", seal_records(b"PGPS\x01\0\0\0\0\0\xff\0\0\0\0")),
    "a slot without spaces": ("slots", seal_records(b"PGPS\x01\0\0\0\0\0logs.reserve_bytes=9\0\0\0\0")),
    "the last generation": ("slots", seal_records(b"PGPS\xff\xff\xff\xff\0\0#=\0\0\0\0")),
    "a nested trial": ("trial", seal_trial(b'\n{"flown": {"file": {"a": %s}}}' % (b"[" * 2000))),
    "a message that is no text": ("journal", journal.encode(journal.Kind.MESSAGE, 1, b"\x93\xa8BatchEnd\x01\xa1\xff")),
    "a nested message": ("journal", journal.encode(journal.Kind.MESSAGE, 1, b"\x93\xa8BatchEnd\x01" + NESTED)),
    "a nested checkpoint": ("checkpoint", seal_checkpoint(bytes(4) + b"\x81\xa1a" + NESTED)),
    "elements of the year 16": ("elements", make_old_elements()),
    "a pole at 405 arc seconds": (
        "orientation",
        b"# fuzz\nmjd_utc,ut1_minus_utc_s,x_pole_arcsec,y_pole_arcsec,dx_mas,dy_mas\n60000,0.1,405,0.3,0.1,-0.2",
    ),
    "a signalling NaN": ("range", b"\xaaD\x12" + bytes(83) + struct.pack("<I", 0x7F800001) + bytes(10) + b"\r\n"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_inputs_that_once_failed(case: str) -> None:
    name, data = CORPUS[case]
    TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_violate_no_property(name: str) -> None:
    target = TARGETS[name]
    dice = random.Random(1)  # noqa: S311 - repeatable
    for number in range(40):
        data = dice.choice(target.seeds)
        for _ in range(number % 4):
            data = target.mutate(data, dice)[: target.size_max]
        target.check(data)
