"""The simulated Control Unit against published requests and sentences, without code of the driver."""

import math

import pytest

from pygnc_instruments.simulators.emus_unit import BROADCAST, Battery, EmusFaults, EmusSimulator
from tests.pygnc_devices.emus.vectors import REQUESTS


def silent(**options: object) -> EmusSimulator:
    return EmusSimulator(broadcast_s=math.inf, **options)  # type: ignore[arg-type]


def answers(unit: EmusSimulator, question: bytes, now_s: float = 0.0) -> list[bytes]:
    unit.receive(question, now_s)
    return unit.run(now_s + 10.0).split(b"\r\n")[:-1]


@pytest.mark.parametrize("question", [text for text in REQUESTS if text[3:6] == ",?,"])
def test_answers_every_published_request(question: str) -> None:
    for sentence in answers(silent(), b"\r\n" + question.encode() + b"\r\n"):
        assert sentence[:4] == question[:4].encode()


def test_ignores_a_request_with_a_wrong_checksum() -> None:
    assert answers(silent(), b"VR1,?,D8\r\n") == []
    assert answers(silent(), b"VR1,?,D7\r\n") == [b"VR1,G1,00001234,2.4.0,CA"]


def test_checksums_agree_with_published_ones() -> None:
    unit = silent()
    assert unit.sentence("BC1", "000456F0,00057E40,1EDC") == b"BC1,000456F0,00057E40,1EDC,3C\r\n"
    assert unit.sentence("BV2", "00,0000,08,8B85858585868587") == b"BV2,00,0000,08,8B85858585868587,93\r\n"


def test_summaries_have_the_empty_fields_of_real_units() -> None:
    (sentence,) = answers(silent(battery=Battery(cells=8)), b"BV1,?,4F\r\n")
    assert sentence.count(b",") == 7
    (sentence,) = answers(silent(faults=EmusFaults(has_no_cells=True)), b"BV1,?,4F\r\n")
    assert sentence == b"BV1,,,,,,,39"


def test_sentences_list_eight_cells_string_by_string() -> None:
    heads = [sentence[:13] for sentence in answers(silent(battery=Battery(cells=12, strings=2)), b"BV2,?,C7\r\n")]
    assert heads == [b"BV2,00,0000,0", b"BV2,00,0008,0", b"BV2,01,0000,0", b"BV2,01,0008,0"]


def test_broadcasts_periodically_and_again_after_power_up() -> None:
    unit = EmusSimulator(broadcast_s=2.0)
    assert unit.run(1.9).count(b"\r\n") == len(BROADCAST)
    assert unit.next_s() == 2.0
    unit.power_cycle(7.0)
    assert unit.next_s() == 7.0


def test_protected_commands_need_the_password() -> None:
    unit = silent(password="secret")  # noqa: S106 - of a simulated unit
    assert answers(unit, b"FD1,,E2\r\n") == []
    assert unit.commands == ["FD1,"]
