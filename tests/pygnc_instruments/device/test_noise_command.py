"""`pygnc device noise`: every kind of log, gaps, rates, settings, figures."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.gx2.packets import PACKETS as GX2_PACKETS
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.framing import make_frame
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device.columns import FloatArray
from pygnc_instruments.device.command import app
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.mcap_log import McapLog
from tests.pygnc_instruments.device.running import peak_kb
from tests.pygnc_instruments.device.test_allan import INTERVAL_S, generated_noise

COUNT = 6000
START_NS = 1_772_366_400_000_000_000
WHITE = 1.2e-4


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["noise", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments: object) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(run(*arguments, "--json").stdout)


@cache
def noise_of_axes() -> FloatArray:
    """Return white noise with coefficients of WHITE and its multiples by 2 to 9, (9, COUNT)."""
    return np.array([generated_noise(COUNT, (axis + 1) * WHITE, 0.0, 0.0, axis) for axis in range(9)])


def frames(kind: str = "z1", tick: int = 100) -> list[bytes]:
    """Return the payloads of COUNT packets with sensors; their clock advances by `tick`."""
    packet = PACKETS[kind]
    names = [entry.name for entry in packet.fields if entry.name.startswith(("rate", "accel", "mag"))]
    series = noise_of_axes()
    return [
        packet.encode({packet.clock: tick * k} | {name: float(series[axis, k]) for axis, name in enumerate(names)})
        for k in range(COUNT)
    ]


def readings(kind: str = "z1") -> list[Reading]:
    packet = PACKETS[kind]
    payloads = frames(kind)
    times_ns = [round(k * INTERVAL_S * 1e9) for k in range(len(payloads))]
    return [
        Reading(packet, b"", packet.decode(payload), at_ns, START_NS + at_ns, at_ns)
        for at_ns, payload in zip(times_ns, payloads, strict=True)
    ]


def csv_log(folder: Path, entries: list[Reading] | None = None) -> Path:
    log = CsvLog(folder, "run")
    for entry in entries or readings():
        log.write(entry)
    log.close()
    return folder / "run.csv"


def mcap_log(folder: Path) -> Path:
    log = McapLog(folder, "run", {"family": "ucb"})
    packet = GX2_PACKETS["CE"]  # without sensors
    log.write(Reading(packet, b"", dict.fromkeys((entry.name for entry in packet.fields), 1.0), 0, START_NS))
    for entry in readings():
        log.write(entry)
    log.close()
    return folder / "run.mcap"


def recording(folder: Path) -> Path:
    (folder / "run.raw").write_bytes(b"".join(make_frame("z1", payload) for payload in frames()))
    return folder / "run.raw"


def foreign_log(folder: Path) -> Path:
    """Write a file with the columns of python-imu380."""
    series = noise_of_axes()
    rate = np.degrees(series[3:6])
    lines = ["time,xAccel,yAccel,zAccel,xRate,yRate,zRate,counter"]
    lines += [
        ",".join(f"{value:.9g}" for value in (k * INTERVAL_S, *series[:3, k], *rate[:, k], k)) for k in range(COUNT)
    ]
    (folder / "foreign.csv").write_text("\n".join(lines) + "\n")
    return folder / "foreign.csv"


@pytest.mark.parametrize("make", [csv_log, mcap_log, recording, foreign_log])
def test_reads_every_kind_of_log(make: Callable[[Path], Path], tmp_path: Path) -> None:
    report = run_json(make(tmp_path))
    assert report["rate_hz"] == pytest.approx(10.0, rel=1e-6)
    assert report["readings"] == pytest.approx(COUNT, abs=5)
    axes = report["axes"]
    assert [axis["unit"] for axis in axes] == (["m/s²"] * 3 + ["rad/s"] * 3 + ["T"] * 3)[: len(axes)]
    for number, axis in enumerate(axes, 1):
        assert axis["white"]["value"] == pytest.approx(number * WHITE, rel=0.05), axis["name"]
        assert axis["reading_sigma"] == pytest.approx(number * WHITE / np.sqrt(INTERVAL_S), rel=0.05)


def test_settings_are_those_of_the_attitude_filter(tmp_path: Path) -> None:
    path = mcap_log(tmp_path)
    parsed = tomllib.loads(run(path).stdout.partition("[attitude.gyro]")[2].join(["[attitude.gyro]", ""]))
    settings = {entry.name: getattr(AttitudeSettings(), entry.name) for entry in fields(AttitudeSettings)}
    assert parsed["attitude"].keys() == {"gyro", "magnetometer"}
    for section, values in parsed["attitude"].items():
        assert values.keys() <= {entry.name for entry in fields(settings[section])}
    gyro, magnetometer = parsed["attitude"]["gyro"], parsed["attitude"]["magnetometer"]
    assert gyro["noise_rad_s"] == pytest.approx(6 * WHITE / np.sqrt(INTERVAL_S), rel=0.05)
    assert magnetometer["noise_ut"] == pytest.approx(9e6 * WHITE / np.sqrt(INTERVAL_S), rel=0.05)
    assert 0.0 < gyro["bias_walk_rad_s"] < 0.5 * WHITE
    assert "upper limit" in run(path).stdout


def test_writes_the_noise_for_kalibr(tmp_path: Path) -> None:
    target = tmp_path / "imu.yaml"
    log = mcap_log(tmp_path)
    axes = run_json(log, "--kalibr", target, "--rostopic", "/unit/imu")["axes"]
    content = yaml.safe_load(target.read_text())
    for unit, sensor in (("m/s²", "accelerometer"), ("rad/s", "gyroscope")):
        white = max(axis["white"]["value"] for axis in axes if axis["unit"] == unit)
        assert content[f"{sensor}_noise_density"] == pytest.approx(white, rel=1e-3)
        assert 0.0 < content[f"{sensor}_random_walk"] < 0.5 * white
    assert (content["rostopic"], content["update_rate"]) == ("/unit/imu", 10.0)
    assert "exists already" in run(log, "--kalibr", target, code=ExitCode.INPUT).stderr


def test_tables_state_the_usual_units(tmp_path: Path) -> None:
    shown = run(csv_log(tmp_path)).stdout
    for text in ("deg/√h", "deg/h/√h", "m/s/√h", "µg", "nT", "xRate", "zAccel"):
        assert text in shown
    rate_random_walk = np.degrees(4 * WHITE) * 60.0
    cells = next(line for line in shown.splitlines() if "xRate" in line).split("│")
    assert float(cells[2]) == pytest.approx(rate_random_walk, rel=0.05)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_draws_a_figure(suffix: str, tmp_path: Path) -> None:
    figure = tmp_path / f"noise.{suffix}"
    run(csv_log(tmp_path), "--plot", figure)
    octets = figure.read_bytes()
    if suffix == "png":
        assert octets.startswith(b"\x89PNG")
    else:
        assert octets.rstrip().endswith(b"</svg>")
        assert b"xRate" in octets


def test_the_lowest_deviation_is_a_certain_one(tmp_path: Path) -> None:
    axis = run_json(csv_log(tmp_path, readings()))["axes"][0]
    best = axis["tau_s"].index(axis["lowest_at_s"])
    assert axis["relative_sigma"][best] <= 0.1 < axis["relative_sigma"][-1]
    assert axis["lowest_deviation"] == axis["deviation"][best]
    assert axis["lowest_deviation_sigma"] == pytest.approx(axis["relative_sigma"][best] * axis["deviation"][best])


def test_uses_the_longest_part_without_a_missing_reading(tmp_path: Path) -> None:
    entries = readings()
    entries[2000] = replace(entries[2000], lost_before=4)
    entries[5500] = replace(entries[5500], gap_ns=10**9)
    report = run_json(csv_log(tmp_path, entries))
    assert (report["first_reading"], report["readings"], report["readings_in_log"]) == (2000, 3500, COUNT)


def test_a_row_that_a_foreign_file_lacks_ends_a_part(tmp_path: Path) -> None:
    path = foreign_log(tmp_path)
    lines = path.read_text().splitlines()
    del lines[1 + 4000]
    path.write_text("\n".join(lines))
    report = run_json(path)
    assert (report["first_reading"], report["readings"]) == (0, 4000)


def test_refuses_a_log_with_many_gaps(tmp_path: Path) -> None:
    entries = [replace(entry, lost_before=int(k % 500 == 499)) for k, entry in enumerate(readings())]
    message = run(csv_log(tmp_path, entries), code=ExitCode.INPUT).stderr
    assert "run.csv: the longest part without a missing reading has 500 of 6000 readings (12 interruptions)" in message
    assert "1000 are needed" in message


def test_refuses_a_log_whose_rate_changes(tmp_path: Path) -> None:
    entries = readings()
    for k in range(3000, COUNT):
        at_ns = entries[2999].t_mono_ns + (k - 2999) * 20_000_000
        entries[k] = replace(entries[k], t_mono_ns=at_ns, t_device_ns=at_ns)
    assert "the rate is not steady" in run(csv_log(tmp_path, entries), code=ExitCode.INPUT).stderr


def test_refuses_a_unit_that_moves(tmp_path: Path) -> None:
    entries = readings()
    for k in range(3000, COUNT):
        entries[k] = replace(entries[k], values={**entries[k].values, "rate_x_rad_s": 0.1})
    message = run(csv_log(tmp_path, entries), code=ExitCode.INPUT).stderr
    assert "run.csv: the unit moves (xRate varies by 2.8" in message
    assert "log it at rest" in message


def test_a_recording_without_a_clock_needs_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "s1.raw"
    path.write_bytes(b"".join(make_frame("S1", payload) for payload in frames("S1", 1)))
    assert "--rate" in run(path, "--family", "ucb", code=ExitCode.INPUT).stderr
    report = run_json(path, "--family", "ucb", "--rate", "10")
    assert report["rate_hz"] == 10.0
    assert report["packet"] == "S1"
    assert "omit --rate" in run(csv_log(tmp_path), "--rate", "50", code=ExitCode.INPUT).stderr


def test_an_axis_without_noise_is_left_out(tmp_path: Path) -> None:
    entries = [replace(entry, values={**entry.values, "rate_y_rad_s": 0.0}) for entry in readings()]
    result = run(csv_log(tmp_path, entries))
    assert "yRate is left out" in result.stderr
    assert "zRate" in result.stdout


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("absent.csv", None, "no such file"),
        ("empty.csv", b"", "contains no angular rate"),
        ("text.csv", b"a,b\n1,2\n", "contains no angular rate"),
        ("binary.csv", b"time,xRate\n\xff\xfe,1\n", "not a readable CSV log"),
        ("words.csv", b"time,xRate\n0.1,fast\n", "not a readable CSV log"),
        ("short.csv", b"time,xRate\n0.1,1\n0.2,2\n", "has 2 of 2 readings"),
        ("cut.mcap", b"\x89MCAP0\r\n", "not a complete MCAP file"),
    ],
)
def test_reports_unusable_files(name: str, content: bytes | None, why: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message = run(tmp_path / name, code=ExitCode.INPUT).stderr
    assert why in message
    assert name in message
    assert message.count("\n") == 1


def test_reports_a_log_cut_by_a_power_failure(tmp_path: Path) -> None:
    path = mcap_log(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "not a complete MCAP file" in run(path, code=ExitCode.INPUT).stderr


def test_reports_an_unknown_packet_or_format(tmp_path: Path) -> None:
    path = mcap_log(tmp_path)
    assert "contains no packet A1 with sensors" in run(path, "--packet", "A1", code=ExitCode.INPUT).stderr
    assert ".png, .svg" in run(path, "--plot", tmp_path / "x.pdf", code=ExitCode.INPUT).stderr


def test_other_commands_do_not_load_the_libraries() -> None:
    code = (
        "import sys; from pygnc_instruments.device import command; "
        "print([name for name in ('scipy.optimize', 'matplotlib', 'polars', 'mcap') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_long_log_needs_little_memory(tmp_path: Path) -> None:
    path, count = tmp_path / "long.csv", 800_000
    normal = np.random.default_rng(1).normal(0.0, 0.01, (count, 3)).round(5)
    with path.open("w") as file:
        file.write("time,xRate,yRate,zRate\n")
        for start in range(0, count, 100_000):
            rows = normal[start : start + 100_000]
            file.writelines(f"{(start + at) / 100:.2f},{x},{y},{z}\n" for at, (x, y, z) in enumerate(rows.tolist()))
    assert peak_kb("noise", path, "--json") < 100_000


def test_reports_a_recording_of_an_unknown_family(tmp_path: Path) -> None:
    (tmp_path / "noise.raw").write_bytes(bytes(range(200)))
    message = run(tmp_path / "noise.raw", code=ExitCode.DEVICE).stderr
    assert "not a recording of a known device family" in message
