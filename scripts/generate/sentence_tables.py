"""Worked examples of the streaming interface for the documentation."""

import zlib
from typing import Final

from pygnc.formats import status
from pygnc.host.sentence import Direction, Sentence, encode
from pygnc.host.sentence_types import (
    ACKN,
    HELO,
    PVAL,
    SENS,
    STAT,
    STRQ,
    UPCH,
    UPCL,
    UPOP,
    UPST,
    Capability,
    ParameterFlag,
    ReportKind,
    SentenceType,
)

SHOWN_BYTES_MAX: Final = 64
HOST_SESSION: Final = 0x1F03
PI_SESSION: Final = 0x0007
FILE: Final = b"orbit.start.fixes = 4\n"


def sentence_examples() -> str:
    """Return the worked examples: explanation, body in hexadecimal digits (long ones abbreviated), line."""
    parts = []
    for meaning, sentence in examples():
        line = encode(sentence).decode().rstrip()
        body = sentence.body
        shown = body.hex(" ") if len(body) <= SHOWN_BYTES_MAX else f"{body[:16].hex(' ')} ..."
        parts.append(f"{meaning}\n\n```\nbody {shown}\nline {line}\n```\n")
    lines = {sentence.kind: encode(sentence).decode().rstrip() for _, sentence in reversed(examples())}
    outer, inner = lines["UPCH"], lines["SENS"]
    cut = len(outer) // 2
    text = "The sensor packet nested in the chunk: the chunk continues after the line end of the packet."
    parts.append(f"{text}\n\n```\n{outer[:cut]}{inner}\n{outer[cut:]}\n```\n")
    return "\n" + "\n".join(parts)


def examples() -> list[tuple[str, Sentence]]:
    """Return the sentences of a short session with their explanations.

    The session has HELO, a sensor packet, a status request, a file and a setting.
    """
    able = ~Capability(0)
    crc = zlib.crc32(FILE)
    sensor = bytes.fromhex("386d4380 1000e0ff3000 9165 8302 7dfd 0000 0bb8 1234 2000 0000 bfff 0001")
    retry = _from_host(SENS, SENS.pack(tail=sensor), 1)._replace(is_retry=True)
    return [
        (
            "The host opens session 1F03: it holds one ordered sentence, supports nesting and has received no HELO.",
            _from_host(HELO, HELO.pack(1, 1, 1, Capability.NESTING, 0, 0, 1, 1, tail=b"controller")),
        ),
        (
            "The Pi responds in session 0007 and confirms session 1F03 (little-endian: `03 1f`).",
            _from_pi(HELO, HELO.pack(1, 1, 16, able, HOST_SESSION, 0, 1, 1, tail=b"pygnc 0.1.0")),
        ),
        (
            "The host has received its own session number and is ready; with this sentence the Pi is, too.",
            _from_host(HELO, HELO.pack(1, 1, 1, Capability.NESTING, PI_SESSION, 1, 1, 1, tail=b"controller")),
        ),
        ("A sensor packet, unordered sentence number 1.", _from_host(SENS, SENS.pack(tail=sensor), 1)),
        (
            "The Pi acknowledges: the next ordered number is 1; unordered number 1 and all before it have arrived.",
            _from_pi(ACKN, ACKN.pack(1, 0, 1, 0xFFFFFFFF)),
        ),
        ("The packet again after the loss of the acknowledgement; `I` marks the retry.", retry),
        ("The host requests the status record.", _from_host(STRQ, STRQ.pack(ReportKind.STATUS), 2)),
        (
            f"The Pi responds with its {status.SIZE} bytes, here of an idle run.",
            _from_pi(STAT, STAT.pack(tail=status.encode({"phase": status.Phase.IDLE, "generation": 7})), 1),
        ),
        (
            "The host opens transfer 1: `pygnc.toml`, 22 bytes.",
            _from_host(UPOP, UPOP.pack(1, len(FILE), crc, tail=b"pygnc.toml"), 1),
        ),
        ("The Pi has no bytes of it yet: send from offset 0.", _from_pi(UPST, UPST.pack(1, 0, 0), 1)),
        ("The only chunk.", _from_host(UPCH, UPCH.pack(1, 0, tail=FILE), 2)),
        ("End of the upload.", _from_host(UPCL, UPCL.pack(1), 3)),
        ("The file is in place.", _from_pi(UPST, UPST.pack(1, 1, len(FILE)), 2)),
        (
            "A setting, entry 5 of 66; changes take effect at the next start.",
            _from_pi(PVAL, PVAL.pack(5, 66, ParameterFlag.NEXT_START, tail=b"radio.bandwidth_hz = 812500.0"), 3),
        ),
    ]


def _from_host(kind: SentenceType, body: bytes, number: int = 0) -> Sentence:
    return Sentence(Direction.TO_PI, kind.name, HOST_SESSION, kind.delivery, number, body)


def _from_pi(kind: SentenceType, body: bytes, number: int = 0) -> Sentence:
    return Sentence(Direction.TO_HOST, kind.name, PI_SESSION, kind.delivery, number, body)
