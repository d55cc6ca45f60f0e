"""Commands and what counts as an answer to each. MicroStrain Data Communications Protocol 1.19.

A reply comes at the end of the calculation cycle in which the command is carried out: after a second at the slowest
rate.
"""

import struct
from collections.abc import Callable
from typing import Final

from pygnc_devices.frames import Frame
from pygnc_devices.gx2.aspp import ACK, NACK, NODE_IS_THERE
from pygnc_devices.requests import Claim, Request

_TIMEOUT_S: Final = 0.4
_TRIES: Final = 4
_CYCLE_S: Final = 1.3
"""More than the longest calculation cycle."""
_GUARD: Final = b"\xc1\x29"
"""Two bytes that keep noise from being taken for a command that changes something."""
_STORED: Final = 0xFFFF


def command(
    kind: str,
    data: bytes = b"",
    *,
    fits: Callable[[bytes], bool] = lambda _: True,
    timeout_s: float = _TIMEOUT_S,
    tries: int = _TRIES,
    queue: str = "",
) -> Request:
    """Return a command that is answered by a reply of its own kind; `fits` tells it from an earlier one's."""

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == NACK or (frame.kind == kind and fits(frame.payload))
        return Claim.LAST if is_mine else Claim.NO

    return Request(bytes.fromhex(kind) + data, accept, queue or kind, timeout_s, tries, what=f"command {kind}")


def continuous(kind: str) -> Request:
    """C4 with the reply to be sent continuously; "00" ends it."""
    octet = bytes.fromhex(kind)
    return command("C4", _GUARD + octet, fits=lambda payload: payload[:1] == octet, tries=2)


def stop(*, is_gx3: bool) -> Request:
    """FA, which is not answered."""
    octets = b"\xfa\x75\xb4" if is_gx3 else b"\xfa"
    return Request(octets, lambda _: Claim.LAST, "FA", 0.05, tries=1, what="command FA")


def write_bias(kind: str, words: tuple[float, float, float]) -> Request:
    """C9 (accelerometer, g) or CA (gyros, rad/s)."""
    payload = struct.pack(">3f", *words)
    guard = b"\xb7\x44" if kind == "C9" else b"\x12\xa5"
    return command(kind, guard + payload, fits=lambda answer: answer[:12] == payload)


def capture_gyro_bias(ms: int) -> Request:
    """CD, answered after that time."""
    return command("CD", _GUARD + struct.pack(">H", ms), timeout_s=ms / 1000 + 3 * _CYCLE_S, tries=1)


def store_bias(quantity: int) -> Request:
    """D0: 1 accelerometer, 2 gyros."""
    return command(
        "D0",
        _GUARD + struct.pack(">H", quantity),
        fits=lambda payload: struct.unpack_from(">H", payload)[0] in (quantity, _STORED),
        timeout_s=_CYCLE_S,
        tries=1,
    )


def built_in_test(bits: int) -> Request:
    """FB."""
    return command("FB", _GUARD + bytes([bits]), fits=lambda payload: payload == bytes([bits]))


def identify(selector: int) -> Request:
    """EA: 0 model, 1 serial number, 2 name, 3 options."""
    return command("EA", bytes([selector]), fits=lambda payload: payload[0] == selector)


def read_word(address: int) -> Request:
    """E5. The reply does not name the address: it is asked once, and the next one only when no reply is on its way."""
    data = b"\x00" + struct.pack(">H", address)
    return command("E5", data, timeout_s=_CYCLE_S, tries=1, queue="eeprom")


def write_word(address: int, word: int) -> Request:
    """E4; see `read_word`."""
    data = _GUARD + b"\x00" + struct.pack(">HH", address, word)
    return command("E4", data, timeout_s=_CYCLE_S, tries=1, queue="eeprom")


def late_word() -> Request:
    """Wait for a reply of E4 or E5 that nobody waits for any more."""
    return Request(b"", lambda frame: Claim.LAST if frame.kind in {"E4", "E5"} else Claim.NO, "eeprom", 0.3, tries=1)


def streamed(kind: str, wait_s: float) -> Request:
    """Wait for a reply without asking for it."""
    return Request(
        b"", lambda frame: Claim.LAST if frame.kind == kind else Claim.NO, f"next {kind}", wait_s, tries=1, what=kind
    )


def ping_node(node: int) -> Request:
    """02, to the base station itself: is the node there."""

    def accept(frame: Frame) -> Claim:
        return Claim.LAST if frame.kind in {NODE_IS_THERE, NACK} else Claim.NO

    return Request(b"\x02" + struct.pack(">H", node), accept, "02", _CYCLE_S, tries=2, what=f"node {node}")


def acknowledged(request: Request) -> Request:
    """Return a command without an answer of its own, which a base station acknowledges all the same."""
    return Request(
        request.octets, lambda frame: Claim.LAST if frame.kind in {ACK, NACK} else Claim.NO, "FA", 0.3, tries=1
    )
