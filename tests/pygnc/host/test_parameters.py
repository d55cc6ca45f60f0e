"""Settings over the streaming interface: validated by the flight software, safe against power cuts."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.configuration.load import merge_settings
from pygnc.configuration.settings import Settings
from pygnc.host.channel_events import Received
from pygnc.host.parameters import Parameters, decode_slots, encode_slot
from pygnc.host.sentence_types import PGET, PLST, PSET, PVAL, NakCause, ParameterFlag, SentenceType
from pygnc.host.settings_slots import changed_settings
from pygnc.host.transfer import Refusal

NOISE = "attitude.magnetometer.noise_ut"


class MemorySlots:
    def __init__(self) -> None:
        self.content = [b"", b""]
        self.fault: OSError | None = None

    def write(self, slot: int, content: bytes) -> None:
        if self.fault:
            raise self.fault
        self.content[slot] = content


def flat(settings: object, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in [f.name for f in dataclasses.fields(settings)]:  # type: ignore[arg-type]
        value = getattr(settings, name)
        is_section = dataclasses.is_dataclass(value)
        found |= flat(value, f"{prefix}{name}.") if is_section else {prefix + name: value}
    return found


@pytest.fixture
def slots() -> MemorySlots:
    return MemorySlots()


@pytest.fixture
def parameters(slots: MemorySlots, tmp_path: Path) -> Parameters:
    return make(slots, tmp_path)


def make(slots: MemorySlots, folder: Path, unused_generation: int = 0) -> Parameters:
    check = partial(changed_settings, None, folder)
    return Parameters(flat(Settings()), check, slots.content, slots.write, unused_generation)


def test_of_a_change_that_was_given_up_the_value_in_use_is_read_until_a_setting_is_changed_again(
    slots: MemorySlots, tmp_path: Path
) -> None:
    ask(make(slots, tmp_path), PSET, f"{NOISE} = 0.7")
    parameters = make(slots, tmp_path, unused_generation=1)
    both = ParameterFlag.CHANGED | ParameterFlag.NEXT_START
    assert ask(parameters, PGET, NOISE) == [(f"{NOISE} = 0.6", both | ParameterFlag.GIVEN_UP)]
    ask(parameters, PSET, "orbit.gravity_degree = 8")
    for restarted in (parameters, make(slots, tmp_path, unused_generation=1)):
        assert ask(restarted, PGET, NOISE) == [(f"{NOISE} = 0.7", both)]


def ask(parameters: Parameters, kind: SentenceType, text: str = "", first: int = 0) -> list[tuple[str, ParameterFlag]]:
    body = PLST.pack(first) if kind is PLST else kind.pack(tail=text.encode())
    answers = parameters.handle(Received(kind, 1, kind.unpack(body), is_late=False, is_retry=False))
    values = [PVAL.unpack(body) for _, body in answers]
    return [(value.tail.decode(), ParameterFlag(value.fields["flags"])) for value in values]


def test_a_setting_is_returned(parameters: Parameters) -> None:
    assert ask(parameters, PGET, NOISE) == [(f"{NOISE} = 0.6", ParameterFlag.NEXT_START)]
    assert ask(parameters, PGET, "orbit.gravity_degree") == [("orbit.gravity_degree = ", ParameterFlag.NEXT_START)]


def test_a_change_is_stored_for_the_next_start(parameters: Parameters, slots: MemorySlots, tmp_path: Path) -> None:
    both = ParameterFlag.CHANGED | ParameterFlag.NEXT_START
    assert ask(parameters, PSET, f"{NOISE} = 0.75") == [(f"{NOISE} = 0.75", both)]
    assert ask(make(slots, tmp_path), PGET, NOISE) == [(f"{NOISE} = 0.75", both)]
    assert decode_slots(slots.content).text == f"{NOISE} = 0.75\n"


def test_a_change_can_be_removed(parameters: Parameters, slots: MemorySlots) -> None:
    ask(parameters, PSET, f"{NOISE}=0.75")
    assert ask(parameters, PSET, f"{NOISE} =") == [(f"{NOISE} = 0.6", ParameterFlag.NEXT_START)]
    assert decode_slots(slots.content).text == ""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (f"{NOISE} = -0.5", NakCause.VALUE),
        (f"{NOISE} = 'loud'", NakCause.VALUE),
        (f"{NOISE} = 0.5\nlogs.reserve_bytes = 0", NakCause.VALUE),
        (f"{NOISE} = [", NakCause.VALUE),
        (f"host.baud = {'[' * 496}", NakCause.VALUE),
        (f"{NOISE} = {'9' * 450}", NakCause.VALUE),
        ("attitude.gyro.scale = 1e300", NakCause.VALUE),
        ("attitude.start.window_samples = 1e30", NakCause.VALUE),
        (f"orbit.screening.time_status_min = {10**24}", NakCause.VALUE),
        (f"orbit.start.fixes = {10**18}", NakCause.VALUE),
        ("radio.bandwidth_hz = 7", NakCause.VALUE),
        ("radio = {bandwidth_hz = 812500.0}", NakCause.NAME),
        ("radio.volume = 7", NakCause.NAME),
        ("= 7", NakCause.NAME),
    ],
)
def test_invalid_settings_are_rejected_and_not_stored(
    parameters: Parameters, slots: MemorySlots, text: str, cause: NakCause
) -> None:
    with pytest.raises(Refusal) as refusal:
        ask(parameters, PSET, text)
    assert refusal.value.cause is cause
    assert slots.content == [b"", b""]


WORDS = ["inf", "nan", "true", "0x", "a.b", "[" * 99, "]" * 99, "{a=" * 30, "9" * 99, "1979-05-27T07:32:00Z"]
TOML_PIECES = st.sampled_from([*"[]{}=,.'\"\\#\n 1-e\0\x0c\x1c\u20ac", *WORDS])
REQUESTS = st.lists(TOML_PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()[:440])


@given(st.sampled_from(list(flat(Settings()))), REQUESTS)
def test_any_value_is_stored_or_rejected(name: str, octets: bytes) -> None:
    slots, folder = MemorySlots(), Path("/nonexistent")
    try:
        ask(make(slots, folder), PSET, f"{name} = {octets.decode(errors='ignore')}")
    except Refusal:
        assert slots.content == [b"", b""]
    make(slots, folder)
    changed_settings(None, folder, decode_slots(slots.content).text)


def test_a_full_disk_rejects_the_change(parameters: Parameters, slots: MemorySlots) -> None:
    slots.fault = OSError(28, "No space left on device")
    with pytest.raises(Refusal, match="No space left"):
        ask(parameters, PSET, f"{NOISE} = 0.75")
    assert ask(parameters, PGET, NOISE) == [(f"{NOISE} = 0.6", ParameterFlag.NEXT_START)]


def test_settings_are_listed_in_pages(parameters: Parameters) -> None:
    names = list(flat(Settings()))
    found: list[str] = []
    while page := [text.partition(" = ")[0] for text, _ in ask(parameters, PLST, first=len(found)) if text]:
        assert len(page) <= 16
        found += page
    assert found == names


def test_the_older_slot_is_overwritten(parameters: Parameters, slots: MemorySlots) -> None:
    seen = []
    for value in ("0.61", "0.62", "0.63", "0.64"):
        before = list(slots.content)
        ask(parameters, PSET, f"{NOISE} = {value}")
        seen.append([k for k in range(2) if slots.content[k] != before[k]])
        assert decode_slots(slots.content).text == f"{NOISE} = {value}\n"
    assert seen == [[0], [1], [0], [1]]


def test_the_other_slot_survives_a_write_cut_at_any_byte(parameters: Parameters, slots: MemorySlots) -> None:
    ask(parameters, PSET, f"{NOISE} = 0.61")
    ask(parameters, PSET, f"{NOISE} = 0.62")
    newest = decode_slots(slots.content).slot
    whole = slots.content[newest]
    for length in range(len(whole)):
        slots.content[newest] = whole[:length]
        assert decode_slots(slots.content).text == f"{NOISE} = 0.61\n"
        slots.content[newest] = whole[:length] + bytes(len(whole) - length)
        assert decode_slots(slots.content).text == f"{NOISE} = 0.61\n" or length >= len(whole.rstrip(b"\0"))


@given(st.binary(max_size=60), st.integers(0, 500))
def test_a_damaged_slot_is_rejected_or_unchanged(noise: bytes, place: int) -> None:
    slots = MemorySlots()
    good = encode_slot(7, "a = 1\n")
    bad = bytearray(good)
    bad[place % len(bad)] ^= 1 + place % 255
    slots.content = [bytes(bad), noise]
    assert decode_slots(slots.content).generation == 0
    slots.content = [noise, good]
    assert decode_slots(slots.content).text == "a = 1\n"


def test_a_stored_setting_that_no_longer_exists_is_dropped(slots: MemorySlots, tmp_path: Path) -> None:
    slots.content[0] = encode_slot(3, "old.name = 1\n" + f"{NOISE} = 0.61\n")
    parameters = make(slots, tmp_path)
    ask(parameters, PSET, "logs.reserve_bytes = 5000000")
    assert decode_slots(slots.content).text == f"{NOISE} = 0.61\nlogs.reserve_bytes = 5000000\n"


def test_changes_override_the_settings_file() -> None:
    table = {"radio": {"bandwidth_hz": 406250.0}, "orbit": {"start": {"fixes": 4}, "arc": {"duration_s": 1.0}}}
    changes = {"orbit": {"start": {"fixes": 6}}, "logs": {"reserve_bytes": 1}}
    assert merge_settings(table, changes) == {
        "radio": {"bandwidth_hz": 406250.0},
        "orbit": {"start": {"fixes": 6}, "arc": {"duration_s": 1.0}},
        "logs": {"reserve_bytes": 1},
    }
    assert table["orbit"] == {"start": {"fixes": 4}, "arc": {"duration_s": 1.0}}


def test_stored_changes_in_another_spelling_do_not_prevent_a_start(tmp_path: Path) -> None:
    slots = MemorySlots()
    slots.content[0] = encode_slot(1, f"{NOISE}=0.7\n# logs\nlogs.reserve_bytes = 9")
    assert ask(make(slots, tmp_path), PGET, "logs.reserve_bytes")[0][0] == "logs.reserve_bytes = 9"


def test_a_change_after_the_last_generation_is_refused(tmp_path: Path) -> None:
    slots = MemorySlots()
    slots.content[0] = encode_slot(0xFFFFFFFF, "logs.reserve_bytes = 9\n")
    with pytest.raises(Refusal, match="nothing was changed"):
        ask(make(slots, tmp_path), PSET, f"{NOISE} = 0.7")


def test_more_changes_than_a_slot_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        encode_slot(1, "x" * 65_536)
