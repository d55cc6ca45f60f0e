"""Bad input of raw measurements as a user gives it: the cause is named, and what can be solved is solved."""

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hatanaka import rnx2crx
from typer.testing import CliRunner

from pygnc_ground.commands.orbit import app
from pygnc_ground.gnss.rinex_writer import write_rinex3
from scripts.bench.bench_raw_formation import simulated
from tests.fakes.raw_logs import epochs as epochs_of
from tests.fakes.raw_logs import rawx
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_gnss")]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def flight() -> Made:
    return scenario(3600)


@pytest.fixture(scope="module")
def epochs(flight: Made) -> list[bytes]:
    """Header, then the text of each epoch."""
    return split(flight.files.observations)


def split(text: bytes) -> list[bytes]:
    return re.split(rb"(?m)^(?=>)", text)


@pytest.fixture
def run(flight: Made, tmp_path: Path) -> Run:
    """Return a function that gives the output of `pygnc orbit` for the content of files."""

    def of(observations: bytes, *words: str, orbits: bytes | None = None, is_solved: bool = True) -> str:
        seen, of_gps = tmp_path / "seen.rnx", tmp_path / "orbits"
        seen.write_bytes(observations)
        of_gps.write_bytes(flight.files.precise if orbits is None else orbits)
        found = CliRunner().invoke(
            app, [str(seen), "--gnss-orbits", str(of_gps), "--out", str(tmp_path / "out"), *words]
        )
        assert found.exit_code == (0 if is_solved else 3), found.output
        return found.output

    return of


def shifted(epoch: bytes, seconds: float) -> bytes:
    """Return an epoch with a wrong time tag."""
    return epoch[:18] + b"%11.7f" % (float(epoch[18:29]) + seconds) + epoch[29:]


def without_l1(epoch: bytes) -> bytes:
    head, *lines = epoch.split(b"\n")
    return b"\n".join([head, *(line[:3] + b" " * 64 + line[67:] for line in lines)])


def without_l2(epoch: bytes) -> bytes:
    head, *lines = epoch.split(b"\n")
    return b"\n".join([head, *(line[:67] for line in lines)])


def test_sp3_of_the_simulator_refers_to_the_antennas(flight: Made, run: Run, tmp_path: Path) -> None:
    antex = tmp_path / "own.atx"
    antex.write_text(antennas_of([]))
    printed = run(flight.files.observations, "--antennas", str(antex))
    assert "orbit: sigma" in printed
    assert "own.atx is not used" in printed


def test_sp3_without_named_antennas_needs_a_file_of_them(flight: Made, run: Run) -> None:
    text = flight.files.precise.replace(b"PCV:NONE", b"PCV:IGS14_2247")
    assert "such as igs14.atx" in run(flight.files.observations, orbits=text, is_solved=False)


def test_satellites_without_antenna_in_the_users_file_are_named(flight: Made, run: Run, tmp_path: Path) -> None:
    orbits = flight.files.precise.replace(b"PCV:NONE", b"PCV:IGS20_2345")
    names = np.unique(flight.measurements.satellite).tolist()
    antex = tmp_path / "own.atx"
    antex.write_text(antennas_of(names[1:]))
    words = str(antex), "--overwrite"
    printed = run(flight.files.observations, "--antennas", *words, orbits=orbits)
    assert f"measurements of {names[0]} not used, because the ANTEX file has no antenna of them on 2025-03-" in printed
    assert "orbit: sigma" in printed
    antex.write_text(antennas_of([]))
    printed = run(flight.files.observations, "--antennas", *words, orbits=orbits, is_solved=False)
    assert "has no antenna of the satellites tracked" in printed


def antennas_of(names: list[str]) -> str:
    """Return an ANTEX file with phase centres at the centres of mass."""
    lines = [("     1.4            M", "ANTEX VERSION / SYST")]
    for name in names:
        lines += [("", "START OF ANTENNA"), (f"BLOCK III           {name}", "TYPE / SERIAL NO")]
        for band in ("G01", "G02"):
            lines += [(f"   {band}", "START OF FREQUENCY"), (3 * "      0.00", "NORTH / EAST / UP")]
    return "".join(f"{content:60}{label}\n" for content, label in lines)


def test_satellites_without_clocks_are_named_with_the_day(flight: Made, run: Run) -> None:
    text = re.sub(rb"(?m)^(PG(?:05|10).{42}).{14}", rb"\1 999999.999999", flight.files.precise)
    printed = run(flight.files.observations, orbits=text)
    assert re.search(
        r"measurements of G(05, G10|10, G05) not used, .* no orbit or clock of them on 2025-03-20", printed
    )
    text = re.sub(rb"(?m)^(PG.{44}).{14}", rb"\1 999999.999999", flight.files.precise)
    printed = run(flight.files.observations, "--overwrite", orbits=text, is_solved=False)
    assert "no satellite that was tracked has an orbit and a clock" in printed
    assert "give orbits with clocks of 2025-03-20 GPS time" in printed


def test_lost_second_frequency_is_replaced_by_the_mean_of_code_and_phase(epochs: list[bytes], run: Run) -> None:
    seen = b"".join([*epochs[:180], *map(without_l2, epochs[180:])])
    printed = run(seen)
    assert "measurements with L1 only: used as mean of code and phase" in printed
    assert "point solutions: 360 of 360 epochs" in printed


def test_lost_first_frequency_is_named(epochs: list[bytes], run: Run) -> None:
    seen = b"".join([*epochs[:180], *map(without_l1, epochs[180:])])
    printed = run(seen)
    assert re.search(r"[\d ]+ measurements without both code and phase on L1 not used", printed)
    assert "L1 only" not in printed


def test_eclipse_of_the_antenna_is_named(epochs: list[bytes], run: Run) -> None:
    printed = run(b"".join([*epochs[:120], *epochs[240:]]))
    assert "no measurements from 2025-03-20T00:19" in printed
    assert "less certain" in printed


def test_wrong_time_tags_are_left_out(epochs: list[bytes], run: Run) -> None:
    changed = list(epochs)
    changed[1], changed[200] = shifted(epochs[1], 0.02), shifted(epochs[200], 0.02)
    printed = run(b"".join(changed))
    assert "not used: their positions are up to 0." in printed
    assert "wrong times" in printed


def test_a_repeated_epoch_is_left_out(epochs: list[bytes], run: Run) -> None:
    changed = list(epochs)
    changed[100] = epochs[101][:29] + epochs[100][29:]
    assert "1 epoch with a satellite twice" in run(b"".join(changed))


@pytest.mark.parametrize("offset_s", [0.02, -0.05, 0.3])
def test_clock_may_be_wrong_by_more_than_milliseconds(offset_s: float, run: Run, tmp_path: Path) -> None:
    late = scenario(3600, clock_offset_s=offset_s)
    run(late.files.observations)
    table = pl.read_parquet(tmp_path / "out" / "orbit_batch.parquet").row(-1, named=True)
    true_m = late.path.states_gcrf([1e-3 * (late.measurements.gps_ms[-1] - late.path.start_gps_ms)])[0, :3]
    assert [table[f"{axis}_gcrf_m"] for axis in "xyz"] == pytest.approx(true_m, abs=0.3)


def test_measurements_of_another_satellite_are_left_out(run: Run) -> None:
    files = simulated(39_101, 0.5, 50_000.0).files
    own, partner = (split(one.observations) for one in files)
    assert "exist twice" in run(b"".join([*own, *partner[1:]]), is_solved=False)
    printed = run(b"".join([*own[:130], *partner[130:]]), orbits=files[0].precise)
    assert re.search(r"51 epochs from .* not used: their positions are up to 49\.\d km off the orbit", printed)
    assert "of another satellite" in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "the file is empty"),
        (lambda text: text[:400], "the header has no line 'END OF HEADER'"),
        (lambda text: text[: text.index(b">")], "no epoch with a satellite of GPS"),
        (lambda text: gzip.compress(text)[:9000], "the file cannot be unpacked"),
        (lambda text: gzip.compress(text)[:9000] + b"\xff" * 9000, "the file cannot be unpacked"),
        (lambda text: b"PK\x03\x04" + text, "the file cannot be unpacked"),
        (lambda text: text.replace(b"G    7 C1C", b"E    7 C1C"), "the header names no observation of GPS"),
        (lambda text: re.sub(rb"(?m)^G(?=\d\d )", b"R", text), "no epoch with a satellite of GPS"),
    ],
)
def test_unreadable_files_are_named(
    change: Callable[[bytes], bytes], message: str, flight: Made, run: Run, tmp_path: Path
) -> None:
    printed = run(change(flight.files.observations), is_solved=False)
    assert f"{tmp_path}/seen.rnx: " in printed
    assert message in printed


def test_observations_of_rinex_4_are_read(epochs: list[bytes], run: Run) -> None:
    """RINEX 4 has the observations of RINEX 3."""
    assert "orbit: sigma" in run(b"".join(epochs).replace(b"     3.05", b"     4.00", 1))


def test_exchanged_files_are_named(flight: Made, run: Run) -> None:
    files = flight.files
    assert "orbits of GPS satellites; give the receiver's file" in run(files.navigation, is_solved=False)
    assert "measurements; give SP3 or RINEX" in run(files.observations, orbits=files.observations, is_solved=False)


def test_truncated_and_damaged_files_are_solved_as_far_as_they_go(flight: Made, run: Run) -> None:
    whole = flight.files.observations
    assert "the file ends inside an epoch; not used" in run(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    for place in range(5000, len(whole), 1013):
        damaged[place] = 0x5A
    assert "a field is not a number; not used" in run(bytes(damaged), "--overwrite")


def test_damage_of_orbits_is_named_with_file_and_place(flight: Made, run: Run, tmp_path: Path) -> None:
    seen, precise, messages = flight.files.observations, flight.files.precise, flight.files.navigation
    printed = run(seen, orbits=precise[: len(precise) // 2], is_solved=False)
    assert f"{tmp_path}/orbits: SP3 file: line " in printed
    first = messages.index(b"END OF HEADER") + 300
    changed = messages[:first] + b"Z" + messages[first + 1 :]
    printed = run(seen, orbits=changed)
    assert re.search(r"orbits: line \d+: .*Z.* is not a number; not used", printed)
    assert "orbit: sigma" in printed
    wholly = re.sub(rb"(?<=\d[DE])[+-]", b"Z", messages)
    printed = run(seen, "--overwrite", orbits=wholly, is_solved=False)
    assert re.search(r"orbits: RINEX navigation file: no usable message .*\(\d+ damaged records, such as line", printed)


def test_orbits_without_gps_are_named(flight: Made, run: Run) -> None:
    seen, messages = flight.files.observations, flight.files.navigation
    printed = run(seen, orbits=messages.replace(b"\nG", b"\nR"), is_solved=False)
    assert "no message of a GPS satellite; give a navigation file of GPS" in printed
    printed = run(seen, orbits=b"<html>404 Not Found</html>\n", is_solved=False)
    assert "neither SP3, nor a RINEX navigation file, nor a log with broadcast messages: the log has no" in printed
    assert "no raw measurements" not in printed


def test_damaged_compact_file_is_used_as_far_as_it_goes(flight: Made, run: Run) -> None:
    compact = rnx2crx(flight.files.observations)
    cut = compact[: 2 * len(compact) // 3]
    assert "epochs from here on are damaged in the compact file; not used" in run(cut)
    middle = compact.index(b"\n", len(compact) // 2)
    broken = compact[:middle] + b"\nZZZ" + compact[middle:]
    assert re.search(r"seen.rnx: line \d+: .*; not used", run(broken, "--overwrite"))


def test_damage_of_a_log_is_named_with_its_bytes(flight: Made, run: Run) -> None:
    log = bytearray(b"".join(rawx(epoch) for epoch in epochs_of(flight.measurements)))
    log[5000] ^= 0xFF
    assert re.search(r"seen.rnx: .*bytes \d+ to \d+ .*; not used", run(bytes(log)))


def test_codes_without_phases_are_refused_with_the_way_out(flight: Made, run: Run) -> None:
    missing = np.full(len(flight.measurements), np.nan)
    codes = write_rinex3(replace(flight.measurements, phase_l1_m=missing, phase_l2_m=missing))
    printed = run(codes, is_solved=False)
    assert "no satellite has a phase on L1" in printed
    assert "without --gnss-orbits" in printed


def test_partner_with_the_own_measurements_is_refused(flight: Made, run: Run, tmp_path: Path) -> None:
    printed = run(flight.files.observations, "--partner", str(tmp_path / "seen.rnx"), is_solved=False)
    assert "the partner's measurements are those of the satellite itself" in printed


def test_partner_outside_the_orbits_is_refused(epochs: list[bytes], run: Run, tmp_path: Path) -> None:
    late = tmp_path / "late.rnx"
    late.write_bytes(b"".join([epochs[0], *(one.replace(b"> 2025 03 20", b"> 2025 03 22") for one in epochs[1:])]))
    printed = run(b"".join(epochs), "--partner", str(late), is_solved=False)
    assert "partner: the GNSS orbits are those of 2025-03-19 to 2025-03-20 GPS time" in printed


def test_options_of_a_partner_need_a_partner(flight: Made, run: Run, tmp_path: Path) -> None:
    printed = run(flight.files.observations, "--partner-ranges", str(tmp_path), is_solved=False)
    assert "--partner-ranges: give the partner's measurements by --partner" in printed
