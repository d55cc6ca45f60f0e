"""The plot window: its curves, and the window on a virtual display."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.declaration import Field, Packet
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device.plot_command import sample_of
from pygnc_instruments.device.plot_panel import SPAN_S, Panel, ticks
from pygnc_instruments.device.spectrum import COLOURS
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "import sys; from pygnc_cli.app import main; sys.exit(main())"


def reading(packet: Packet, payload: bytes = b"") -> Reading:
    return Reading(packet, b"", packet.decode(payload or bytes(packet.layout.size)), 2_000_000_000, 0)


def test_motion_is_plotted_in_the_units_of_csv_columns() -> None:
    packet = PACKETS["S1"]
    payload = packet.encode({"rate_z_rad_s": math.radians(90.0)})
    t_s, panels = sample_of(reading(packet, payload))
    assert list(panels) == ["specific force, m/s^2", "angular rate, deg/s"]
    assert panels["angular rate, deg/s"]["zRate"] == pytest.approx(90.0, abs=0.02)
    assert t_s == 2.0


def test_a_device_without_motion_is_plotted_by_unit() -> None:
    packet = Packet("XY", (Field("count", "H", meaning="a count"), Field("name", "4s", meaning="a name")))
    assert sample_of(reading(packet))[1] == {"numbers": {"count": 0}}


def test_panel_drops_old_points_and_scales_to_the_rest() -> None:
    panel = Panel()
    for k in range(200):
        panel.add(0.1 * k, {"x": 5.0 if k == 0 else float(k % 2)})
    points = panel.points("x", 100.0, 50.0)
    assert points[-2] == 100.0
    assert points[0] == pytest.approx(0.0, abs=1.1)
    assert len(panel.curves["x"]) == pytest.approx(SPAN_S * 10, abs=2)
    assert all(0.0 < y < 50.0 for y in points[1::2])


def test_a_constant_curve_is_drawn_in_the_middle() -> None:
    panel = Panel()
    panel.add(0.0, {"x": 0.0})
    panel.add(1.0, {"x": 0.0})
    assert panel.points("x", 10.0, 10.0)[1::2] == [5.0, 5.0]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6))
def test_ticks_are_at_most_six_and_within_the_axis(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 6
    tolerance = 1e-6 * (abs(low) + span)
    assert all(low - tolerance <= tick <= low + span + tolerance for tick in found)


@pytest.fixture
def display() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed; apt install xvfb")
    pytest.importorskip("tkinter", reason="Tk is not installed; apt install python3-tk")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=(theirs,), stderr=subprocess.DEVNULL) as server:
        os.close(theirs)
        with os.fdopen(ours) as answer:
            yield f":{answer.readline().strip()}"
        server.terminate()


def plot(display: str, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath, "HOME": str(folder)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, "device", "plot", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment | {"DISPLAY": display}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_colour(display: str, colour: tuple[int, int, int], process: subprocess.Popen[str]) -> None:
    """Wait until a curve of this colour is on the screen."""
    wait_for_colours(display, {colour}, process)


def wait_for_colours(display: str, wanted: Collection[tuple[int, ...]], process: subprocess.Popen[str]) -> None:
    """Wait until more than 100 pixels on the screen have one of these colours."""
    from PIL import ImageGrab  # noqa: PLC0415 - needs Pillow and a display

    for _ in range(400):
        colours = ImageGrab.grab(xdisplay=display).convert("RGB").getcolors(1 << 20) or []
        if sum(count for count, found in colours if found in wanted) > 100:
            return
        try:
            _, notes = process.communicate(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(notes)
    raise AssertionError("no curve was drawn")


def test_window_plots_a_device_until_ctrl_c(display: str, tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        process = plot(display, tmp_path, line.url, "--family", "ucb", "--baud", 115200)
        wait_for_colour(display, (0xC0, 0x39, 0x2B), process)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=20)
    assert (process.returncode, notes) == (0, "")


@pytest.mark.parametrize("view", ["spectrum", "waterfall"])
def test_window_shows_spectra(display: str, view: str, tmp_path: Path) -> None:
    colours: set[tuple[int, ...]] = {(0xC0, 0x39, 0x2B)}
    if view == "waterfall":
        colours = {tuple(bytes.fromhex(colour[1:])) for colour in COLOURS[100:]}
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        process = plot(display, tmp_path, line.url, "--family", "ucb", "--baud", 115200, "--view", view)
        wait_for_colours(display, colours, process)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=20)
    assert (process.returncode, notes) == (0, "")


def test_window_shows_monodrive_sensors_with_display_process(display: str, tmp_path: Path) -> None:
    with TcpEndpoint(MonoDriveSimulator()) as line:
        configuration = json.loads((ROOT / "examples/imu.json").read_text()) | {"listen_port": line._port}
        (tmp_path / "imu.json").write_text(json.dumps(configuration))
        process = plot(display, tmp_path, tmp_path / "imu.json")
        wait_for_colour(display, (0x1F, 0x61, 0x8D), process)
        process.terminate()
        _, notes = process.communicate(timeout=20)
        assert (process.returncode, notes) == (0, "")
        (tmp_path / "imu.json").write_text(json.dumps(configuration | {"display_process": False}))
        process = plot(display, tmp_path, tmp_path / "imu.json")
        _, notes = process.communicate(timeout=20)
        assert process.returncode == ExitCode.DEVICE
        assert "display_process" in notes


def test_reports_a_missing_display(tmp_path: Path) -> None:
    pytest.importorskip("tkinter", reason="Tk is not installed; apt install python3-tk")
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        process = plot("", tmp_path, line.url, "--family", "ucb", "--baud", 115200)
        _, notes = process.communicate(timeout=20)
    assert process.returncode == ExitCode.DEVICE
    assert "the window cannot be shown" in notes
