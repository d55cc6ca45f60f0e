"""Scenarios are split into a batch and live packets without loss."""

from pathlib import Path

import pytest

from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.sense_scan import scan as scan_sense
from pygnc_controller.emulator.scenario import load_scenario, with_time_marks

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
CONTENT = (DEMO / "sense.bin").read_bytes()
RANGES = b"".join(path.read_bytes() for path in sorted((DEMO / "range").iterdir()))


def test_without_a_live_part_the_files_are_unchanged() -> None:
    scenario = load_scenario(DEMO, 0.0)
    assert scenario.packets == []
    assert scenario.batch["sense.bin"] == CONTENT
    assert scenario.batch["range/rng00000.bin"] + scenario.batch["range/rng00001.bin"] == RANGES
    assert scenario.start_s > int(scan_sense(CONTENT).records["gps"]["t_spacecraft_s"][-1])


@pytest.mark.parametrize("live_s", [60.0, 600.0, 1e9])
def test_batch_and_live_packets_together_are_the_scenario(live_s: float) -> None:
    scenario = load_scenario(DEMO, live_s)
    sense = b"".join(
        p.body + b"\r\n" * (p.kind.name == "GPSS") for p in scenario.packets if p.kind.name in {"SENS", "GPSS"}
    )
    assert scenario.batch.get("sense.bin", b"") + sense == CONTENT
    ranges = b"".join(scenario.batch.get(f"range/rng0000{k}.bin", b"") for k in range(2))
    live = b"".join(p.body for p in scenario.packets if p.kind.name in {"GPSR", "RANG"})
    assert ranges + live == RANGES
    assert len(live) > 0
    times = [packet.after_s for packet in scenario.packets]
    assert times == sorted(times)
    assert times[0] >= 0.0


def test_live_packets_have_their_original_times() -> None:
    scenario = load_scenario(DEMO, 600.0)
    sensors = [packet for packet in scenario.packets if packet.kind.name == "SENS"]
    for packet in sensors:
        assert int.from_bytes(packet.body[:4], "big") - scenario.start_s == pytest.approx(packet.after_s, abs=1.5)
    assert sensors[-1].after_s == pytest.approx(600.0, abs=30.0)


def test_partner_files_keep_their_folders_and_live_packets_the_radio_id(tmp_path: Path) -> None:
    (tmp_path / "sense.bin").write_bytes(CONTENT)
    folder = tmp_path / "range" / "partner_K"
    folder.mkdir(parents=True)
    (folder / "rng00000.bin").write_bytes(RANGES)
    scenario = load_scenario(tmp_path, 600.0)
    partners = [packet for packet in scenario.packets if packet.kind.name in {"PGPS", "PRNG"}]
    assert {packet.values for packet in partners} == {(75,)}
    assert scenario.batch["range/partner_75/rng00000.bin"] + b"".join(p.body for p in partners) == RANGES
    assert scan_ranges(scenario.batch["range/partner_75/rng00000.bin"]).damage == ()


def test_damage_stays_in_the_batch_and_is_not_streamed(tmp_path: Path) -> None:
    damaged = CONTENT[:1000] + b"\x00" * 40 + CONTENT[1000:]
    (tmp_path / "sense.bin").write_bytes(damaged)
    scenario = load_scenario(tmp_path, 600.0)
    assert damaged.startswith(scenario.batch["sense.bin"])
    assert len(scenario.packets) == len(
        [p for p in load_scenario(DEMO, 600.0).packets if p.kind.name in {"SENS", "GPSS"}]
    )


def test_a_clock_that_jumps_does_not_stop_the_stream(tmp_path: Path) -> None:
    record = bytearray(CONTENT[:251])
    for at in (*range(0, 150, 30), 150):
        record[at : at + 4] = (100 + at // 30 * 5 - (5 if at == 150 else 0)).to_bytes(4, "big")
    (tmp_path / "sense.bin").write_bytes(CONTENT[: 10 * 251] + bytes(record) + CONTENT[10 * 251 : 20 * 251])
    packets = load_scenario(tmp_path, 1e9).packets
    assert packets[-1].after_s < 20 * 30


def test_time_marks_precede_the_packets_of_their_time() -> None:
    scenario = load_scenario(DEMO, 600.0)
    marked = list(with_time_marks(scenario.packets, scenario.start_s))
    marks = [packet for packet in marked if packet.kind.name == "TIME"]
    assert marked[0].kind.name == "TIME"
    assert len(marks) == pytest.approx(10, abs=1)
    assert [packet for packet in marked if packet.kind.name != "TIME"] == scenario.packets
    assert all(abs(mark.values[0] - scenario.start_s - mark.after_s) <= 1.0 for mark in marks)


def test_a_file_without_a_record_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sense.bin").write_bytes(bytes(1000))
    with pytest.raises(ValueError, match=r"sense\.bin"):
        load_scenario(tmp_path, 0.0)
