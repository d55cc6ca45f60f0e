"""`pygnc device upgrade` with a simulated bootloader."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pygnc_cli.exit_codes import ExitCode
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.device.running import UCB, run, run_json

ROOT = Path(__file__).resolve().parents[3]
NEW = "IMU381ZA-400 5020-1383-01 11.00.00"


def test_upgrade_replaces_the_firmware(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    assert "--write-firmware" in run("upgrade", line.url, tmp_path / "new.bin", *UCB, code=ExitCode.DEVICE).stderr
    result = run(
        "upgrade", line.url, tmp_path / "new.bin", "--write-firmware", "--save-settings", tmp_path / "kept", *UCB
    )
    assert f"now:    {NEW}" in result.stdout
    assert "write (240 of 3000 bytes)" in result.stderr
    assert json.loads((tmp_path / "kept").read_text())["serial_number"] == unit.serial_number


def test_a_dry_run_checks_image_and_unit(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    before = unit.text, dict(unit.ram)
    result = run("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert "image:  3000 bytes" in result.stdout
    assert f"device: {unit.text}" in result.stdout
    assert (unit.text, unit.ram) == before
    report = run_json("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert (report["device"], report["is_in_bootloader"]) == (unit.text, False)
    (tmp_path / "bad.bin").write_bytes(b"<html>" * 1000)
    (tmp_path / "elf.bin").write_bytes(b"\x7fELF" * 1000)
    for name, what in (("bad.bin", "a web page"), ("elf.bin", "an ELF file")):
        assert what in run("upgrade", "/no/port", tmp_path / name, code=ExitCode.INPUT).stderr  # before the device
    both = run("upgrade", line.url, tmp_path / "new.bin", "--dry-run", "--write-firmware", *UCB, code=ExitCode.USAGE)
    assert "exclude each other" in both.stderr
    with line.hold():
        unit.bootloader._flash = bytearray(100)
        unit.power_cycle(line.now_s())
    report = run_json("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert (report["device"], report["is_in_bootloader"]) == ("", True)
    assert len(unit.bootloader._flash) == 100


def test_recovers_a_unit_in_its_bootloader(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    with line.hold():
        unit.bootloader._flash = bytearray(100)
        unit.power_cycle(line.now_s())
    assert run_json("list", line.url, "--family", "ucb")["found"][0]["text"] == "in its bootloader"
    assert "--recover" in run("info", line.url, "--family", "ucb", code=ExitCode.DEVICE).stderr
    result = run_json("upgrade", line.url, tmp_path / "new.bin", "--write-firmware", "--recover")
    assert (result["before"], result["after"]) == ("", NEW)


def test_ctrl_c_in_an_upgrade_prints_how_to_continue(unit: UcbSimulator, line: PtyEndpoint, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    unit.bootloader.erase_s = 600.0
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath, "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", program, "device", "upgrade", line.url, str(tmp_path / "new.bin")]
    command += ["--write-firmware", *UCB]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert line.wait_until(lambda: unit.bootloader.erasures == 1, 30.0)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in notes
    assert "--recover" in notes
    assert "Traceback" not in notes
