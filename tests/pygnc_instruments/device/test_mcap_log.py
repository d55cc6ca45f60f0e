"""MCAP files: messages and schemas of all families, clocks, gaps, rotation, recovery after a power cut."""

import base64
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import NonSeekingReader, make_reader
from typer.testing import CliRunner

from pygnc_devices.declaration import Record
from pygnc_devices.family import all_families, family
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device import log_files, mcap_log
from pygnc_instruments.device.command import app
from pygnc_instruments.device.log_files import LogError, Rotation
from pygnc_instruments.device.log_recovery import recover_logs
from pygnc_instruments.device.mcap_log import DEVICE_METADATA, McapLog, json_schema
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

S1 = bytes.fromhex("FFE000160CC0FFFEFFF9FFFF27EB27EB27EB27F728F50002")
START_NS = 1_772_366_400_000_000_000
HEAD = {"family": "ucb", "serial_number": "2008705635"}
READINGS = [(kind.name, packet) for kind in all_families() for packet in kind.packets if packet.is_reading]
FAMILIES = {
    "dmu380": "ucb",
    "imu383": "ucb",
    "openimu": "ucb",
    "3dm-gx2": "gx2",
    "inertia-link": "gx2",
    "3dm-gx3-25": "gx2",
    "3dm-cv7": "mip",
    "3dm-gx4": "mip",
    "vn-100": "vectornav",
    "vn-100-binary": "vectornav",
    "vn-300": "vectornav",
    "mti-30": "xsens",
    "mti-680": "xsens",
    "monodrive": "monodrive",
    "opc-n3": "opc_n3",
    "pms5003": "pms5003",
    "sps30": "sps30",
    "emus": "emus",
    "oem719": "novatel",
    "zed-f9p": "ublox",
    "venus8": "skytraq",
}


def reading(at_s: float = 0.0, kind: str = "S1", device_s: float | None = None, **marks: Any) -> Reading:  # noqa: ANN401 - attributes of Reading
    packet = PACKETS[kind]
    values = packet.decode(S1 if kind == "S1" else bytes(packet.layout.size))
    arrival_ns = round(at_s * 1e9)
    device_ns = None if device_s is None else round(device_s * 1e9)
    return Reading(packet, b"", values, arrival_ns, START_NS + arrival_ns, device_ns, **marks)


class Entry(NamedTuple):
    topic: str
    values: dict[str, Any]
    log_ns: int
    publish_ns: int
    sequence: int


def entries(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        messages = reader.iter_messages(log_time_order=False)
        return [
            Entry(channel.topic, json.loads(message.data), message.log_time, message.publish_time, message.sequence)
            for _, channel, message in messages
        ]


def check_against_schema(values: dict[str, Any], schema: dict[str, Any]) -> None:
    """Check a message against the part of JSON schema that Lichtblick and Foxglove read: one type per property."""
    kinds: dict[str, type | tuple[type, ...]] = {"number": (int, float), "string": str, "array": list}
    assert schema["type"] == "object"
    for name, value in values.items():
        entry = schema["properties"][name]
        assert isinstance(value, kinds[entry["type"]]), name
        if entry.get("contentEncoding"):
            base64.b64decode(str(value), validate=True)


@pytest.mark.parametrize(("name", "packet"), READINGS, ids=[f"{name}-{packet.name}" for name, packet in READINGS])
def test_every_declared_packet_has_messages_that_match_their_schema(name: str, packet: Record, tmp_path: Path) -> None:
    log = McapLog(tmp_path, "x", {"family": name})
    numbers = {field.name: 1 for field in packet.fields if packet.kind_of(field) == "number"}
    values = packet.decode(packet.encode(numbers))
    log.write(Reading(packet, b"", values, 0, START_NS, flags=("doubt",)))
    log.close()
    with (tmp_path / "x.mcap").open("rb") as file:
        ((schema, channel, message),) = make_reader(file, validate_crcs=True).iter_messages()
    assert schema is not None
    assert (schema.name, schema.encoding) == (f"{name}.{packet.name}", "jsonschema")
    assert (channel.topic, channel.message_encoding) == (f"/{name}/{packet.name}", "json")
    assert json.loads(schema.data) == json_schema(packet)
    content = json.loads(message.data)
    check_against_schema(content, json_schema(packet))
    assert content.pop("flags") == ["doubt"]
    assert {name: content.pop(name) for name in ("lost_before", "gap_s")} == {"lost_before": 0, "gap_s": 0.0}
    given = {name: value for name, value in values.items() if value is not None}
    assert content.keys() == given.keys()
    assert all(content[key] == pytest.approx(given[key]) for key in numbers if key in given)


@pytest.mark.parametrize(
    "model",
    # An OPC-N3 sends its first histogram after ten seconds.
    [pytest.param(model, marks=[pytest.mark.slow] if model == "opc-n3" else []) for model in FAMILIES],
)
def test_logs_every_simulated_model(model: str, tmp_path: Path) -> None:
    name = FAMILIES[model]
    with PtyEndpoint(SIMULATORS[model](), tmp_path / "port") as line:
        arguments = ["log", line.url, "--family", name, "--baud", str(family(name).bauds[0]), "--format", "mcap"]
        result = CliRunner().invoke(
            app, [*arguments, "--out", str(tmp_path / "logs"), "--name", "run.mcap", "--count", "4"]
        )
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "logs").iterdir()
    assert path.name == "run.mcap"
    found = entries(path)
    assert len(found) == 4
    assert all(entry.topic.startswith(f"/{name}/") for entry in found)
    assert all(abs(entry.log_ns - time.time_ns()) < 60e9 for entry in found)
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        (metadata,) = reader.iter_metadata()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == 4
    assert metadata.name == DEVICE_METADATA
    assert metadata.metadata["family"] == name


def test_every_family_has_a_simulated_model() -> None:
    assert set(FAMILIES.values()) == {kind.name for kind in all_families() if kind.make_frame is None}
    assert FAMILIES.keys() <= SIMULATORS.keys()


def test_log_time_is_the_hosts_and_publish_time_the_devices(tmp_path: Path) -> None:
    log = McapLog(tmp_path, "x", HEAD)
    for at_s, device_s in ((0.0, None), (0.5, 1.0), (0.7, 1.1), (0.71, 1.2)):
        log.write(reading(at_s, device_s=device_s))
    log.close()
    found = entries(tmp_path / "x.mcap")
    assert [(entry.log_ns - START_NS) / 1e9 for entry in found] == [0.0, 0.5, 0.7, 0.71]
    assert [(entry.publish_ns - START_NS) / 1e9 for entry in found] == [0.0, 0.5, 0.6, 0.7]
    assert [entry.values.get("device_time_s") for entry in found] == [None, 1.0, 1.1, 1.2]


def test_each_channel_counts_the_missing_readings(tmp_path: Path) -> None:
    log = McapLog(tmp_path, "x", HEAD)
    for kind, lost in (("S1", 0), ("A1", 0), ("S1", 3), ("S1", 0), ("A1", 1)):
        log.write(reading(kind=kind, lost_before=lost, gap_ns=lost * 10_000_000))
    log.close()
    found = entries(tmp_path / "x.mcap")
    for topic, sequence in (("/ucb/S1", [0, 4, 5]), ("/ucb/A1", [0, 2])):
        channel = [entry for entry in found if entry.topic == topic]
        assert [entry.sequence for entry in channel] == sequence
        assert [entry.values["gap_s"] for entry in channel] == [0.01 * entry.values["lost_before"] for entry in channel]


def test_a_reconnection_is_marked(tmp_path: Path) -> None:
    out = tmp_path / "logs"
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:

        def disturb() -> None:
            wait_for(lambda: any(path.stat().st_size > 3000 for path in out.glob("*")))
            line.unplug()
            time.sleep(0.3)
            line.plug_in()

        thread = threading.Thread(target=disturb)
        thread.start()
        arguments = ["log", line.url, "--family", "ucb", "--baud", "115200", "--out", str(out), "--name", "run"]
        result = CliRunner().invoke(app, [*arguments, "--format", "mcap", "--count", "500"])
        thread.join()
    assert result.exit_code == 0, result.output
    found = entries(out / "run.mcap")
    (gap,) = (entry for entry in found if entry.values["gap_s"])
    assert gap.values["gap_s"] > 0.3
    assert all(before.publish_ns < after.publish_ns for before, after in pairwise(found))
    # A unit that restarts leaves times of arrival only, which vary on a busy computer.
    sent = 1 + round((found[-1].publish_ns - found[0].publish_ns) / 1e7)
    assert 1 + found[-1].sequence == pytest.approx(sent, abs=10)


def test_files_rotate_and_completed_ones_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_SYNC_S", 0.0)
    closed: list[Path] = []
    log = McapLog(tmp_path, "run", HEAD, Rotation(bytes=3000), closed.append)
    for k in range(20):
        log.write(reading(0.01 * k))
    log.close()
    log.close()
    assert [path.name for path in closed[:2]] == ["run.mcap", "run-001.mcap"]
    assert len(closed) > 2
    assert sum(len(entries(path)) for path in closed) == log.rows == 20
    assert sorted(tmp_path.iterdir()) == sorted(closed)


def test_a_full_disk_raises_an_error_and_keeps_all_readings_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_SYNC_S", 0.0)
    log = McapLog(tmp_path, "x", HEAD)
    log.write(reading())

    def full(descriptor: int, octets: memoryview) -> int:
        if len(octets) > 10:
            return original(descriptor, octets[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(LogError, match=r"No space left.*kept"):
            log.write(reading(0.01))
        assert recover_copy(tmp_path) == 1
    log.close()
    assert len(entries(tmp_path / "x.mcap")) == 2


def recover_copy(folder: Path) -> int:
    """Return the number of readings in the file that a power cut would leave."""
    copy = folder / "copy"
    copy.mkdir()
    (copy / "x.mcap.part").write_bytes((folder / "x.mcap.part").read_bytes())
    (path,) = recover_logs(copy)
    return len(entries(path))


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """Return a file of twelve chunks and the sizes that it had after each chunk."""
    folder = tmp_path_factory.mktemp("complete")
    sizes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_SYNC_S", 0.0)
        log = McapLog(folder, "x", HEAD)
        for k in range(12):
            log.write(reading(0.01 * k, kind="A1" if k % 3 == 2 else "S1"))
            sizes.append((folder / "x.mcap.part").stat().st_size)
        log.close()
    return (folder / "x.mcap").read_bytes(), sizes


def all_entries(octets: bytes, folder: Path) -> list[Entry]:
    (folder / "all").write_bytes(octets)
    return entries(folder / "all")


@settings(max_examples=100)
@given(data=st.data())
def test_a_file_cut_anywhere_keeps_all_chunks_written_before(
    complete: tuple[bytes, list[int]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    octets, sizes = complete
    cut = data.draw(st.integers(0, len(octets)))
    tail = data.draw(st.sampled_from([b"", bytes(700), b"\x06" * 90]))  # filesystems may append zeros or old bytes
    folder = tmp_path_factory.mktemp("cut")
    (folder / "x.mcap.part").write_bytes(octets[:cut] + tail)
    recovered = recover_logs(folder)
    whole = sum(size <= cut for size in sizes)
    if not recovered:
        assert (whole, list(folder.iterdir())) == (0, [])
        return
    assert recovered == list(folder.iterdir()) == [folder / "x.mcap"]
    found = entries(folder / "x.mcap")
    assert found == all_entries(octets, folder)[: len(found)]
    assert len(found) - whole in {0, 1}  # zeros may complete a chunk that ends in zeros
    with (folder / "x.mcap").open("rb") as file:
        in_order = list(NonSeekingReader(file, validate_crcs=True).iter_messages())
    assert len(in_order) == len(found)
    with (folder / "x.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(found)
    assert sum(summary.statistics.channel_message_counts.values()) == len(found)


WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from tests.pygnc_instruments.device.test_mcap_log import HEAD, reading
from pygnc_instruments.device import log_files
from pygnc_instruments.device.mcap_log import McapLog
log_files._SYNC_S = 0.0
log = McapLog(Path(sys.argv[1]), "x", HEAD)
for k in range(100):
    log.write(reading(0.01 * k))
print("written", flush=True)
sys.stdin.read()
"""


def test_the_file_of_a_killed_program_is_recovered(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    paths = [str(root), str(root / "flight"), str(root / "ground")]
    command = [sys.executable, "-c", WRITER, str(tmp_path), *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        assert recover_logs(tmp_path) == []  # another program is writing it
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert recover_logs(tmp_path) == [tmp_path / "x.mcap"]
    assert [entry.sequence for entry in entries(tmp_path / "x.mcap")] == list(range(100))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_complete_the_file(number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(path: Path, target: Path) -> None:
        signal.raise_signal(number)
        path.rename(target)

    def write(log: McapLog, reading: Reading) -> None:
        original(log, reading)
        if log.rows == 20:
            signal.raise_signal(number)

    original = McapLog.write
    monkeypatch.setattr(mcap_log.McapLog, "write", write)
    monkeypatch.setattr(log_files, "durable_rename", rename)
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        arguments = ["log", line.url, "--family", "ucb", "--baud", "115200", "--out", str(tmp_path / "logs"), "--json"]
        result = CliRunner().invoke(app, [*arguments, "--format", "mcap", "--name", "run"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [Path(path).name for path in report["files"]] == ["run.mcap"]
    assert len(entries(tmp_path / "logs" / "run.mcap")) == report["rows"] >= 20


def wait_for(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
