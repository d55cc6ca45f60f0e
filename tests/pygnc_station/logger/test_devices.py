"""Particle counter and battery at a station, with their simulators."""

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pygnc_devices.errors import PortError
from pygnc_devices.family import family
from pygnc_instruments.simulators.emus_unit import Battery, EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcFaults
from pygnc_station.commands.doctor import examine
from pygnc_station.commands.main import app
from pygnc_station.errors import StationError
from pygnc_station.logger.devices import interval_options, open_device, read_one
from pygnc_station.logger.logger import Logger
from pygnc_station.server.air_quality import break_points
from pygnc_station.server.corrections import CONCENTRATION_UNIT
from pygnc_station.settings import Device, StationSettings
from pygnc_station.store import query
from pygnc_station.store.store import Store
from tests.pygnc_devices.opc_n3.quick import REST_S, counter, line_of, timing
from tests.pygnc_station.logger.samples import DEADLINE_S, running, start_logger, store_sentence, wait_for


def test_passes_the_interval_to_drivers_that_support_one() -> None:
    opc, emus, ucb = family("opc_n3"), family("emus"), family("ucb")
    assert interval_options(opc, None) == {"sample_s": 10.0}
    assert interval_options(opc, 5.0) == {"sample_s": 5.0}
    assert interval_options(opc, 60.0) == {"interval_s": 60.0}
    assert interval_options(emus, 30.0) == {"every_s": 30.0}
    assert interval_options(ucb, 30.0) == {}


def test_particle_counters_name_their_mass_alike() -> None:
    for name in ("opc_n3", "pms5003", "sps30"):
        readings = [packet for packet in family(name).packets if packet.is_reading]
        for packet in readings:
            columns = {field.name: field.unit.name for field in packet.fields}
            assert {columns[mass] for mass in ("pm_1_ug_m3", *break_points())} == {CONCENTRATION_UNIT}
    assert interval_options(family("pms5003"), None) == {"sample_s": 10.0}
    assert interval_options(family("sps30"), 5.0) == {"sample_s": 5.0}


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("emus", {"allow_writes": "no"}, r"option allow_writes of emus: Expected `bool`, got `str`"),
        ("emus", {"ask": "BV2"}, r"option ask of emus: Expected `array`, got `str`"),
        ("emus", {"every_s": "often"}, r"option every_s of emus: Expected `float`, got `str`"),
        ("opc_n3", {"sample_s": "5"}, r"option sample_s of opc_n3: Expected `float \| null`, got `str`"),
        ("opc_n3", {"url": "x"}, r"unknown option 'url' of opc_n3; choose from sample_s, interval_s, allow_w"),
    ],
)
def test_checks_driver_options_before_opening_the_port(kind: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(StationError, match=f"^pack: {why}"):
        open_device(Device("pack", kind, "/dev/no_such_port", options=options))
    with pytest.raises(PortError):
        open_device(Device("pack", "emus", "/dev/no_such_port", options={"ask": ["BV2"], "every_s": 5}))


def test_logs_a_particle_counter_and_switches_it_off(tmp_path: Path) -> None:
    opc = counter()
    with line_of(opc, tmp_path) as line, Store.open(str(tmp_path / "r.db")) as store:
        device = Device("opc", "opc_n3", line.url, interval_s=0.05, options={"timing": timing(REST_S)})
        logger = Logger(store, [device])
        with running(logger):
            wait_for(lambda: logger.stored >= 3, "histograms")
        (stream,) = query.streams(store, "opc", "histogram")
        first = query.between(store, [stream])[0]
        assert not opc.fan_on
        assert not opc.laser_on
    values = dict(zip(stream.layout.names, first.values, strict=True))
    assert first.raw is not None
    assert len(first.raw) == 86
    assert isinstance(values["bin_0"], int)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stores_the_unfinished_average_when_it_is_stopped(tmp_path: Path, number: int) -> None:
    opc = counter()
    rests = ", ".join(f"{name} = {value}" for name, value in asdict(timing(REST_S)).items())
    (tmp_path / "station.toml").write_text(
        f'[[device]]\ngadget = "opc"\nfamily = "opc_n3"\nport = "{tmp_path / "port"}"\ninterval_s = 3600\n'
        f"options = {{ sample_s = 0.02, timing = {{ {rests} }} }}\n"
    )
    with line_of(opc, tmp_path):
        process = start_logger("--settings", tmp_path / "station.toml", "--quiet")
        try:
            wait_for(lambda: opc.histograms >= 4, "samples")  # the first is discarded, the last may be late
            process.send_signal(number)
            output, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
        assert (output, errors, process.returncode) == ("1 readings stored\n", "", 0)
        assert not opc.is_on
    with Store.open(str(tmp_path / "readings.db")) as store:
        (stream,) = query.streams(store, "opc", "average")
        (found,) = query.between(store, [stream])
    values = dict(zip(stream.layout.names, found.values, strict=True))
    assert isinstance(values["samples"], int)
    assert values["samples"] >= 1
    assert len(found.raw or b"") == 86 * values["samples"]


def test_a_single_reading_does_not_wait_for_a_long_interval(tmp_path: Path) -> None:
    with line_of(counter(), tmp_path) as line:
        device = Device("opc", "opc_n3", line.url, interval_s=300, options={"timing": timing(REST_S)})
        assert read_one(device, DEADLINE_S).packet.name == "histogram"


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (OpcFaults(dead_laser=True), "the fan or the laser does not run"),
        (OpcFaults(deaf_fan=10**9), "fan or laser does not switch on; check the power supply"),
        (OpcFaults(is_autonomous=True), "records autonomously and no longer responds: switch its power off and on"),
    ],
)
def test_the_doctor_explains_faults_of_fan_and_laser(
    tmp_path: Path, faults: OpcFaults, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygnc_station.diagnosis.station._READING_TIMEOUT_S", 5.0)
    with line_of(counter(faults), tmp_path) as line:
        device = Device("opc", "opc_n3", line.url, interval_s=0.05, options={"timing": timing(REST_S)})
        settings = StationSettings(folder=str(tmp_path), device=[device])
        told = [finding.text for finding in examine(settings, 1.8e9) if not finding.is_good]
    assert why in told[0]


def test_cells_prints_the_values_of_each_cell(tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(), broadcast_s=0.3)
    (tmp_path / "station.toml").write_text(
        f'[[device]]\ngadget = "pack"\nfamily = "emus"\nport = "{tmp_path / "port"}"\noptions = {{ ask = ["BV2"] }}\n'
    )
    arguments = ["cells", "--settings", str(tmp_path / "station.toml")]
    assert "no cells in the store" in CliRunner().invoke(app, arguments).output
    with PtyEndpoint(unit, tmp_path / "port") as line, Store.open(str(tmp_path / "readings.db")) as store:
        logger = Logger(store, [Device("pack", "emus", line.url, interval_s=0.5, options={"ask": ["BV2"]})])
        with running(logger):
            wait_for(lambda: len(query.streams(store, "pack", "BV2 cells 8-15")) == 1, "cells")
            wait_for(
                lambda: query.count(store, query.streams(store, "pack", "BV2 cells 8-15")[0]) >= 2, "rounds of cells"
            )
            wait_for(lambda: len(query.streams(store, "pack", "BV1")) == 1, "the summary")
    output = CliRunner().invoke(app, arguments).output
    assert "pack  voltage, V" in output
    assert output.count("string 0 cell") == 16
    assert "lowest" in output
    assert "incomplete" not in output


def test_cells_lists_missing_cells(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("name = 'x'")
    with Store.open(str(tmp_path / "readings.db")) as store:
        for name, text in (("BV1", b"0010,4A,94,80,335B,"), ("BV2", b"00,0008,08,8686868686868686")):
            store_sentence(store, name, text)
    output = CliRunner().invoke(app, ["cells", "--no-bars", "--settings", str(tmp_path / "station.toml")]).output
    assert "string 0 cell   8     3.34" in output
    assert "incomplete: 8 of 16 cells; missing: 0/0, 0/1, 0/2, 0/3, 0/4, 0/5, 0/6, 0/7" in output


def test_commands_print_labels_beside_the_codes_of_a_battery(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("name = 'x'")
    with Store.open(str(tmp_path / "readings.db")) as store:
        store_sentence(store, "BV2", b"00,0000,08,8686868686868686")
        store_sentence(store, "ST1", b"03,06,0000,000128E3,05,0402,00,00040802")
        store_sentence(store, "IN1", b"30")
        store_sentence(store, "OT1", b"80,,50")
        store_sentence(store, "BC1", b"000456F0,00057E40,1EDC")

    def invoke(*words: str) -> str:
        return CliRunner().invoke(app, [*words, "--settings", str(tmp_path / "station.toml")]).output

    shown = invoke("recent")
    assert "charging_stage 3 (main charging)  charging_error 6 (cell or cell module too hot)" in shown
    assert "status 5 (cell voltages valid, balancing rates valid)" in shown
    assert "protections 1026 (cell over-voltage, bit 10)  reductions 0 (none)" in shown
    assert "pins 264194 (speed sensor, battery contactor, ZVU boost charge)" in shown
    assert "inputs 48 (charger mains?, ignition key?)" in shown
    assert "charger 128 (charger?)  outputs 80 (heater?, buzzer?)" in shown
    assert "charge 79 Ah  capacity 100 Ah  state_of_charge_percent 79 %" in shown
    (told,) = map(json.loads, invoke("recent", "--json", "--kind", "ST1").splitlines())
    assert told["values"]["charging_stage"] == 3
    assert told["words"]["charging_stage"] == "main charging"
    cells = invoke("cells")
    assert "  charging stage: main charging\n" in cells
    assert "  protections: cell over-voltage, bit 10\n" in cells
