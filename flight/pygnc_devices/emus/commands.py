"""Questions to a Control Unit, and what counts as their answers. Answers are matched by name: others may come between.

Whether the unit demands a CR LF before a question is not public; it does no harm.
"""

from collections.abc import Callable
from typing import Final

from pygnc_devices.emus.framing import make_sentence
from pygnc_devices.frames import Frame
from pygnc_devices.requests import Claim, Request

CELL_TIMEOUT_S: Final = 6.0
"""The unit may ask its cells for 5 s before it answers."""
TIMEOUT_S: Final = 1.0
TRIES: Final = 3
SILENCE_S: Final = 0.25
"""Ends an answer of several sentences whose number is not told."""
LIST_SILENCE_S: Final = 0.5
CELL_SENTENCES: Final = frozenset({"BB1", "BB2", "BT1", "BT2", "BT3", "BT4", "BV1", "BV2"})


def question(
    name: str,
    text: str = "?",
    *,
    accept: Callable[[Frame], Claim] | None = None,
    tries: int | None = None,
    timeout_s: float | None = None,
    grace_s: float = SILENCE_S,
) -> Request:
    """Return a question that is answered by a sentence of its own name."""
    is_slow = name in CELL_SENTENCES
    return Request(
        b"\r\n" + make_sentence(name, text),
        accept or (lambda frame: Claim.LAST if frame.kind == name else Claim.NO),
        name,
        timeout_s or (CELL_TIMEOUT_S if is_slow else TIMEOUT_S),
        tries or (1 if is_slow else TRIES),
        grace_s,
        what=f"{name} from the Control Unit",
    )


def listing(name: str) -> Request:
    """Return a question that is answered by several sentences, ended by silence."""
    return question(name, accept=lambda frame: Claim.PART if frame.kind == name else Claim.NO, grace_s=LIST_SILENCE_S)


def parameter(number: str, data: str = "?") -> Request:
    """CF2: read a parameter, or write it. It is written once: whoever doubts reads it back."""
    wanted = number.upper().encode()

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == "CF2" and frame.payload.upper().split(b",")[0] == wanted
        return Claim.LAST if is_mine else Claim.NO

    return question("CF2", f"{number},{data}", accept=accept, tries=TRIES if data == "?" else 1)
