"""Field 7: which axis of the unit its X, Y and Z outputs follow. Derived by the manual's rule, not listed.

Bit 0 is the sign of X (1: negative), bits 1 and 2 its source; bit 3 and 4 to 5 the same for Y, bit 6 and 7 to 8 for Z.
The sources 0, 1, 2 mean x, y, z for X, y, z, x for Y and z, x, y for Z. Right-handed triples alone are legal: 24 codes.
"""

from itertools import permutations, product
from typing import Final

_LETTERS: Final = "xyz"


def _code(sources: tuple[int, ...], signs: tuple[int, ...]) -> int:
    code = 0
    for axis, (source, sign) in enumerate(zip(sources, signs, strict=True)):
        code |= (int(sign < 0) | ((source - axis) % 3) << 1) << (3 * axis)
    return code


def _is_right_handed(sources: tuple[int, ...], signs: tuple[int, ...]) -> bool:
    parity = 1 if sources in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1
    return parity * signs[0] * signs[1] * signs[2] == 1


def _text(sources: tuple[int, ...], signs: tuple[int, ...]) -> str:
    return "".join(f"{'+' if sign > 0 else '-'}{_LETTERS[source]}" for source, sign in zip(sources, signs, strict=True))


TEXT_OF_CODE: Final = dict(
    sorted(
        (_code(sources, signs), _text(sources, signs))
        for sources in permutations(range(3))
        for signs in product((1, -1), repeat=3)
        if _is_right_handed(sources, signs)
    )
)
"""Code -> axes of the unit along X, Y, Z, such as `-y+x+z`."""

CODE_OF_TEXT: Final = {text: code for code, text in TEXT_OF_CODE.items()}


def matrix(code: int) -> tuple[tuple[int, int, int], ...]:
    """Return rows of M with v_output = M v_unit.

    Raises:
        KeyError: no such orientation.
    """
    text = TEXT_OF_CODE[code]
    rows = []
    for sign, letter in zip(text[::2], text[1::2], strict=True):
        value = 1 if sign == "+" else -1
        rows.append((value * (letter == "x"), value * (letter == "y"), value * (letter == "z")))
    return tuple(rows)
