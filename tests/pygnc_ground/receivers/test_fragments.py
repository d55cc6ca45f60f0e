"""Frames whose fragments are in lines of text with a wrapper that nobody declared."""

import base64
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pygnc.bus.messages import GnssFix
from pygnc_ground.receivers import log as receiver_log
from pygnc_ground.receivers.log import read, recognises, searches
from tests.fakes import receiver_logs as fake
from tests.pygnc_ground.receivers.test_log import parts, solutions

SOLUTIONS = solutions(12)
TEXT = fake.log(SOLUTIONS, fake.bestxyza).replace(b"\r\n", b"")
PLAIN = {
    "text": TEXT,
    "BESTXYZB": fake.log(SOLUTIONS, fake.bestxyzb),
    "NAV-PVT": fake.log(SOLUTIONS, fake.nav_pvt),
    "SBF": fake.log(SOLUTIONS, fake.pvt_cartesian),
}
PARTS = 7
"""Number of parts of a reply."""

_Wrapper = Callable[[int, str], str]
WRAPPERS: dict[str, _Wrapper] = {
    "reply": lambda k, part: f'[12:00:{k // PARTS % 60:02d}] OBC reply {k % PARTS + 1}/{PARTS}: "{part}"',
    "reply with a number": lambda k, part: f"gnss> {k // PARTS} {k % PARTS} {part}",
    "JSON": lambda k, part: json.dumps({"t": 1.5 + k, "data": part, "final": False}),
    "compact JSON": lambda k, part: json.dumps({"part": k, "data": part, "unit": "gps"}, separators=(",", ":")),
    "JSON in JSON": lambda k, part: json.dumps({"seq": k, "rsp": f"RES:{json.dumps({'data': part})}#"}),
    "count": lambda k, part: f"{k % 256:03d} | {part} |",
}
ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "text": lambda part: part.decode(),
    "hexadecimal": bytes.hex,
    "spaced": lambda part: part.hex(" ").upper(),
    "base64": lambda part: base64.b64encode(part).decode(),
}


def split(content: bytes, dice: random.Random, shortest: int = 8) -> list[bytes]:
    """Return a content in parts of 8 to 90 bytes."""
    found = []
    while content:
        size = dice.randint(shortest, 90)
        size = len(content) if len(content) - size < shortest else size
        found.append(content[:size])
        content = content[size:]
    return found


def fixed_split(content: bytes) -> list[bytes]:
    return split(content, random.Random(1))  # noqa: S311 - no secrets


def lines(wrapped: Iterable[str]) -> bytes:
    return "".join(f"{one}\n" for one in wrapped).encode()


def by_time(fixes: Iterable[GnssFix]) -> list[tuple[object, ...]]:
    return sorted((fix.kind, fix.gps_ms, fix.position_ecef_m, fix.velocity_sigma_mps) for fix in fixes)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("seed", range(2))
def test_any_split_and_shuffled_log_gives_the_fixes_of_the_plain_log(
    wrapper: str, encoding: str, seed: int, tmp_path: Path
) -> None:
    dice = random.Random(f"{wrapper}, {encoding}, {seed}")  # noqa: S311 - no secrets
    name = "text" if encoding == "text" else dice.choice(sorted(PLAIN))
    sent = [WRAPPERS[wrapper](k, ENCODINGS[encoding](part)) for k, part in enumerate(split(PLAIN[name], dice))]
    if seed % 2:
        # Parts of one reply, or of eleven lines of a counted stream, come in any order.
        size = PARTS if wrapper == "reply" else 11
        replies = [sent[at : at + size] for at in range(0, len(sent), size)]
        sent = [one for reply in replies for one in dice.sample(reply, len(reply))]
    if dice.random() < 0.5:
        sent = [one for k, line in enumerate(sent) for one in (line, f"EPS: bus {7 + k % 2}.{k % 10} V")]
    content = lines(sent)
    found, damage = parts(content, tmp_path)
    expected, _ = parts(PLAIN[name], tmp_path)
    assert by_time(found) == by_time(expected)
    delivered = len(content) - sum(one.stop - one.start for one in damage)
    coded = sum(len(ENCODINGS[encoding](part)) for part in [PLAIN[name]])
    assert delivered == pytest.approx(coded, rel=0.2)


def dumped(content: bytes, row: Callable[[int, bytes], str]) -> bytes:
    return lines(row(at, content[at : at + 16]) for at in range(0, len(content), 16))


def shown(octets: bytes) -> str:
    return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in octets)


DUMPS: dict[str, Callable[[int, bytes], str]] = {
    "rows": lambda at, row: f"{at:04x}: {row.hex(' ')}",
    "xxd": lambda at, row: f"{at:08x}: {row.hex(' ', -2):39}  {shown(row)}",
    "hexdump -C": lambda at, row: f"{at:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  |{shown(row)}|",
}


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("name", PLAIN)
def test_dumps_are_read(dump: str, name: str, tmp_path: Path) -> None:
    content = dumped(PLAIN[name], DUMPS[dump])
    found, _ = parts(content, tmp_path)
    expected, _ = parts(PLAIN[name], tmp_path)
    assert by_time(found) == by_time(expected)
    assert not recognises(content)
    assert searches(tmp_path / "receiver.log")


def test_a_lost_fragment_costs_only_its_frames_and_counts_no_byte_twice(tmp_path: Path) -> None:
    sent = [WRAPPERS["reply"](k, part.decode()) for k, part in enumerate(fixed_split(TEXT))]
    whole, _ = parts(lines(sent), tmp_path)
    for lost in range(0, len(sent), 5):
        content = lines(sent[:lost] + sent[lost + 1 :])
        found, _ = parts(content, tmp_path)
        assert len(whole) - 2 <= len(found) < len(whole)
        assert set(by_time(found)) < set(by_time(whole))


def test_sentences_with_weak_checksums_are_not_joined(tmp_path: Path) -> None:
    """The exclusive or of NMEA and SkyTraq is the same in any order of the fragments."""
    for encode in (fake.sentences, fake.navigation_data):
        content = fixed_split(fake.log(SOLUTIONS, encode))
        found, _ = parts(lines(WRAPPERS["reply"](k, part.hex()) for k, part in enumerate(content)), tmp_path)
        assert not found


def test_fragments_on_both_sides_of_a_piece_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_log, "SPAN_BYTES", 2048)
    monkeypatch.setattr(receiver_log, "_CHUNK_BYTES", 5000)
    sent = [WRAPPERS["JSON"](k, part.decode()) for k, part in enumerate(fixed_split(TEXT))]
    (tmp_path / "log").write_bytes(lines(sent))
    assert len([one for one in read(tmp_path / "log") if isinstance(one, GnssFix)]) == len(SOLUTIONS)
