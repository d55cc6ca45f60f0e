"""Instructions of functions: the interpreter may specialise them, but no flipped bit remains."""

import ctypes
import random
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Final, cast

import pytest

from pygnc.tasks import instructions, seal
from pygnc.tasks.instructions import FUNCTIONS_AT_ONCE, Instructions

CALLS: Final = 100
"""Number of calls after which the interpreter has specialised a function."""


def energy(masses_kg: list[float], speed_mps: float) -> float:
    total = 0.0
    for mass_kg in masses_kg:
        total += 0.5 * mass_kg * speed_mps**2
    return total if total > 1e-9 else -1.0


def copied_energy() -> Callable[[list[float], float], float]:
    """Return a function of its own with the instructions of `energy`, which has never been called."""
    return cast("Callable[[list[float], float], float]", FunctionType(energy.__code__.replace(), globals()))


def live(code: CodeType) -> bytes:
    return cast("bytes", code._co_code_adaptive)  # type: ignore[attr-defined]


def flip(code: CodeType, offset: int, bit: int) -> None:
    ctypes.c_uint8.from_address(id(code) + CodeType.__basicsize__ + offset).value ^= 1 << bit


def places_of_instructions(code: CodeType) -> list[int]:
    """Return the offsets of the instructions that are no cache entries; reading `co_code` keeps a copy of them."""
    plain = code.replace().co_code
    return [k for k in range(0, len(plain), 2) if plain[k]]


def test_specialised_instructions_are_the_same_instructions() -> None:
    function = copied_energy()
    code = function.__code__
    before, guard = live(code), Instructions([code])
    for _ in range(CALLS):
        function([1.0, 2.0], 3.0)
    assert live(code) != before
    assert not guard.restore()
    assert not Instructions([code]).restore()


@pytest.mark.parametrize("is_specialised", [False, True])
def test_each_flipped_bit_of_an_instruction_is_restored(*, is_specialised: bool) -> None:
    function = copied_energy()
    code = function.__code__
    for _ in range(CALLS * is_specialised):
        function([1.0, 2.0], 3.0)
    guard, noticed = Instructions([copied_energy().__code__, code]), 0
    assert not guard.restore()
    for place in places_of_instructions(code):
        for bit in range(16):
            general = instructions._GENERAL[live(code)[place]]
            flip(code, place + bit // 8, bit % 8)
            # Some flips make another specialised instruction of the same general one.
            if bit < 8 and instructions._GENERAL[live(code)[place]] == general:
                flip(code, place + bit // 8, bit % 8)
                continue
            assert guard.restore()
            assert not guard.restore()
            noticed += 1
    assert noticed > 15 * len(places_of_instructions(code))
    assert function([1.0, 2.0], 3.0) == 13.5


def test_a_damaged_copy_is_not_used() -> None:
    function = copied_energy()
    guard = Instructions([function.__code__])
    guard._copies[40] ^= 4
    flip(function.__code__, places_of_instructions(function.__code__)[3] + 1, 0)
    assert not guard.restore()


def test_many_functions_are_compared_in_parts() -> None:
    codes = [copied_energy().__code__ for _ in range(FUNCTIONS_AT_ONCE + 1)]
    guard, dice = Instructions(codes), random.Random(1)  # noqa: S311 - repeatable
    for code in (codes[0], codes[-1]):
        before = live(code)
        flip(code, dice.choice(places_of_instructions(code)) + 1, dice.randrange(8))
        assert guard.restore()
        assert live(code) == before
    assert not guard.restore()


def test_the_instructions_of_all_functions_of_a_module_are_found() -> None:
    modules = seal.Modules()
    names = [__name__]
    found = seal.Constants(names).codes
    assert {"energy", "copied_energy", "test_a_damaged_copy_is_not_used"} <= {code.co_name for code in found}
    assert not modules.restore()
