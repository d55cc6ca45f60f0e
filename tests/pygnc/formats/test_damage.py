import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats.damage import DamageReason, Gap
from tests.pygnc.formats.streams import pieces

CONTENT = DamageReason.CONTENT


@given(st.data(), st.binary(max_size=40), st.integers(0, 600), st.binary(max_size=40))
def test_gap_does_not_depend_on_pieces(data: st.DataObject, before: bytes, fill: int, behind: bytes) -> None:
    octets = before + bytes(fill) + behind
    whole, parts = Gap(7), Gap(7)
    whole.extend(octets)
    for piece in data.draw(pieces(octets)):
        parts.extend(memoryview(piece))
    assert (parts.start, parts.stop, parts.length) == (7, 7 + len(octets), len(octets))
    assert parts.as_damage(CONTENT) == whole.as_damage(CONTENT)


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x5A])
def test_an_erased_page_is_fill_at_any_offset(fill: int) -> None:
    for before in range(256):
        gap = Gap(0)
        gap.extend(np.random.default_rng(before).bytes(before) + bytes([fill]) * 512)
        assert gap.as_damage(CONTENT).reason is DamageReason.FILL


def test_noise_and_short_runs_are_not_fill() -> None:
    gap = Gap(0)
    gap.extend(np.random.default_rng(1).bytes(1000) + bytes(100) + b"\x01" * 100)
    assert gap.as_damage(CONTENT).reason is CONTENT
