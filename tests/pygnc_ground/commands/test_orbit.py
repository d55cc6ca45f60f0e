"""`pygnc orbit` on logs of receivers and on a sense file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import pygnc_ground as pg
from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats.omm import parse_kvn
from pygnc.formats.tle import parse_tle
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.orbit_replay import replay_with_true_noise
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.result import ReplayResult
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution
from tests.pygnc_command import app

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
TRUTH = DEMO / "truth.parquet"
_SIGMA_M, _SIGMA_MPS = 5.0, 0.05


def solutions_along(truth: pl.DataFrame, noise: np.random.Generator) -> list[Solution]:
    """Return solutions of a receiver with white noise."""
    found = []
    states = (f"{axis}_ecef_m" for axis in "xyz"), (f"v{axis}_ecef_mps" for axis in "xyz")
    for week, tow_ms, *state in truth.select("gps_week", "gps_tow_ms", *states[0], *states[1]).iter_rows():
        x, y, z = (np.array(state[:3]) + noise.normal(0.0, _SIGMA_M, 3)).tolist()
        vx, vy, vz = (np.array(state[3:]) + noise.normal(0.0, _SIGMA_MPS, 3)).tolist()
        gps_ms = week * MS_PER_WEEK + tow_ms
        found.append(Solution(gps_ms, (x, y, z), (vx, vy, vz), _SIGMA_M, _SIGMA_MPS))
    return found


@pytest.fixture(scope="module")
def solutions() -> list[Solution]:
    """Solutions in the first hour of the demonstration's true orbit, every 100 s."""
    return solutions_along(pl.read_parquet(TRUTH)[:144:4], np.random.default_rng(35))


def orbit(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["orbit", *map(str, words)])


def test_a_log_becomes_an_orbit_with_its_errors_and_mean_elements(solutions: list[Solution], tmp_path: Path) -> None:
    log = tmp_path / "receiver.ubx"
    log.write_bytes(b"boot\r\n" + fake.log(solutions, fake.nav_pvt))
    found = orbit(log, "--out", tmp_path / "out", "--truth", TRUTH, "--name", "DEMO", "--predict", "0.5")
    assert found.exit_code == ExitCode.DONE, found.output
    lines = found.output.splitlines()
    assert f"{log}: {log.stat().st_size - 6} bytes used, 6 not" in lines
    assert "36 fixes: 36 used, 0 not used" in lines
    errors = next(line for line in lines if line.startswith("smoother"))
    assert float(errors.split(": ")[1].split(" m,")[0]) < 5.0
    elements = parse_kvn((tmp_path / "out" / "orbit.omm").read_text()).elements
    assert elements.name == "DEMO"
    assert parse_tle((tmp_path / "out" / "orbit.tle").read_text()).elements.epoch_gps_ms == elements.epoch_gps_ms
    assert "OBJECT_NAME = DEMO" in (tmp_path / "out" / "orbit.opm").read_text()
    assert (tmp_path / "out" / "report.html").exists()
    truth = pg.load_truth(TRUTH)
    times = [solution.gps_ms for solution in solutions]
    ahead = np.arange(times[-1], times[-1] + 1_500_000, 60_000)
    for file, at in (("orbit.oem", np.array(times)), ("predicted.oem", ahead)):
        distance_m = pg.load_truth(tmp_path / "out" / file).at(at).position_ecef_m - truth.at(at).position_ecef_m
        assert np.nanmax(np.linalg.norm(distance_m, axis=1)) < 20.0
    again = ("export", tmp_path / "out", "--as", "prediction", "--as", "omm", "--name", "DEMO", "--predict", "0.5")
    assert CliRunner().invoke(app, [*map(str, again), "--out", str(tmp_path / "again")]).exit_code == ExitCode.DONE
    for file in ("predicted.oem", "orbit.omm"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "out" / file).read_bytes()
    assert orbit(log, "--out", tmp_path / "out").exit_code == ExitCode.INPUT


def test_a_table_of_another_program_gives_the_same_orbit(
    solutions: list[Solution], expected: FloatArray, tmp_path: Path
) -> None:
    page = (DEMO.parents[1] / "docs" / "receivers.md").read_text()
    example, config = page.split("# ADCS log of SAT-1")[1], tmp_path / "sat.toml"
    config.write_text(example.split("```toml")[1].split("```")[0])
    lines = ["# ADCS log of SAT-1", example.splitlines()[1]]
    for one in solutions:
        values = (*(1e-3 * value for value in (*one.position_m, *one.velocity_mps)), "3D", one.satellites)
        lines.append(f"{one.utc:%Y-%m-%d %H:%M:%S};" + ";".join(map(str, values)))
    lines[9] = lines[9].replace("3D", "NO FIX")
    log = tmp_path / "adcs.csv"
    log.write_text("\r\n".join([*lines, "2025-03-20 09:00:00;?;?"]))
    result = pg.replay_files(log, settings=config).result
    assert result.notes[0] == f"{log}: line 39, 3 cells instead of 9"
    assert (result.solution.accepted.sum(), result.not_used) == (35, {"position_status": 1})
    assert result.smoothed is not None
    # This table has no standard deviations.
    assert np.linalg.norm(result.smoothed.position_ecef_m - expected, axis=1).max() < 5.0


def test_one_fix_gives_an_orbit_that_knows_how_little_it_knows(solutions: list[Solution], tmp_path: Path) -> None:
    log = tmp_path / "receiver.log"
    log.write_bytes(fake.bestxyza(solutions[0]))
    found = orbit(log, "--out", tmp_path / "out")
    assert found.exit_code == ExitCode.DONE, found.output
    predicted = next(line for line in found.output.splitlines() if line.startswith("predicted a day ahead"))
    # 5 cm/s along the track are an error of the period: 3 * 0.05 m/s * 86400 s = 13 km.
    assert 10.0 < float(predicted.split("sigma ")[1].split()[0]) < 40.0
    # Nothing has shown the drag: half to twice the declared area alone are 0.4.
    assert 40.0 < float(predicted.split("drag known to ")[1].split()[0]) < 70.0
    assert any(line.endswith(": a single fix") for line in found.output.splitlines())
    assert not [*(tmp_path / "out").glob("attitude*")]  # there is no sample of a sensor


def test_the_summary_names_a_gap_and_missing_velocities(solutions: list[Solution], tmp_path: Path) -> None:
    log = tmp_path / "receiver.log"
    log.write_bytes(fake.log([*solutions[:6], *solutions[20:26]], fake.sentences))
    found = orbit(log, "--out", tmp_path / "out")
    assert found.exit_code == ExitCode.DONE, found.output
    assert "a fix every 1 min 40 s, once none for 25 min 00 s" in found.output
    assert "velocities: none used" in found.output


def smoothed(message: Callable[[Solution], bytes], solutions: list[Solution], folder: Path) -> FloatArray:
    """Return the positions of the smoother from a log of these messages, m."""
    log = folder / "receiver.log"
    log.write_bytes(fake.log(solutions, message))
    result = pg.replay_files(log).result
    assert result.smoothed is not None
    return result.smoothed.position_ecef_m


@pytest.fixture(scope="module")
def expected(solutions: list[Solution], tmp_path_factory: pytest.TempPathFactory) -> FloatArray:
    """Positions of the smoother from BESTXYZ in ASCII, which has the best resolution."""
    return smoothed(fake.bestxyza, solutions, tmp_path_factory.mktemp("expected"))


@pytest.mark.parametrize(
    ("encode", "resolution_m"),
    [
        (fake.bestxyzb, 1e-3),
        (fake.bestpos_bestvel, 0.5),
        (fake.nav_pvt, 0.05),
        (fake.nav_sol, 0.1),
        (fake.pvt_cartesian, 1e-2),
    ],
)
def test_all_formats_give_the_same_orbit_within_their_resolution(
    encode: Callable[[Solution], bytes],
    resolution_m: float,
    solutions: list[Solution],
    expected: FloatArray,
    tmp_path: Path,
) -> None:
    distance_m = np.linalg.norm(smoothed(encode, solutions, tmp_path) - expected, axis=1)
    assert distance_m.max() < resolution_m


def test_standard_deviations_that_are_not_true_give_the_same_orbit(tmp_path: Path) -> None:
    log, found = tmp_path / "receiver.log", []
    fixes = solutions_along(pl.read_parquet(TRUTH)[:216:2], np.random.default_rng(36))
    for factor in (1.0, 10.0, 0.1):
        stated = [
            one._replace(position_sigma_m=factor * _SIGMA_M, velocity_sigma_mps=factor * _SIGMA_MPS) for one in fixes
        ]
        log.write_bytes(fake.log(stated, fake.bestxyzb))
        found.append(determined(log))
    expected = found[0].smoothed
    assert expected is not None
    assert not any("standard deviations" in note for note in found[0].notes)
    for one in found[1:]:
        assert any("standard deviations of the receiver" in note for note in one.notes)
        assert one.smoothed is not None
        assert np.linalg.norm(one.smoothed.position_ecef_m - expected.position_ecef_m, axis=1).max() < 1.0


def determined(log: Path) -> ReplayResult:
    """Return the result of `pygnc orbit`."""
    files = RecordedFiles(sense=(log,))
    return replay_with_true_noise(files, files.context()).result


RXSTATUS = "0,4,02000000,00000000,00000000,00000000," + ",".join(["00180000,00000000,00000000,00000000"] * 4)


def test_strange_solutions_are_rejected_with_the_cause_or_enter_with_a_larger_sigma(
    solutions: list[Solution], tmp_path: Path
) -> None:
    frames = [fake.bestxyza(one) + fake.novatel_text("RXSTATUS", one, RXSTATUS) for one in solutions]
    coarse = [fake.bestxyza(one, status="COARSE") for one in solutions[:8]]

    def moved(at: int, seconds: float) -> Solution:
        """Return a solution whose time is stated later than that of its position and velocity."""
        return solutions[at]._replace(gps_ms=solutions[at].gps_ms + round(1000 * seconds))

    unset = solutions[0]._replace(gps_ms=5_000, position_m=(0.0,) * 3, velocity_mps=(0.0,) * 3, satellites=0)
    strange = {
        6: (fake.bestxyza(solutions[6], "INSUFFICIENT_OBS"), "position_status"),
        9: (fake.bestxyza(solutions[9], kind="PROPAGATED"), "position_status"),
        12: (fake.bestxyza(solutions[12]._replace(satellites=0)), "no_satellites"),
        15: (fake.bestxyza(moved(15, 12.0), ages_s=(0.0, 12.0)), "time_status"),
        18: (fake.bestxyza(moved(18, 0.3), status="APPROXIMATE"), "time_status"),
        # These are used: with 76 m along the track, as is an old solution; with the time that TIME corrects; and with
        # the receiver's own standard deviation, which contains old corrections.
        21: (fake.bestxyza(moved(21, 0.01), status="FREEWHEELING"), ""),
        24: (fake.bestxyza(moved(24, 0.008), ages_s=(0.0, 0.008)), ""),
        27: (
            fake.bestxyza(moved(27, 0.02), status="FREEWHEELING")
            + fake.novatel_text("TIME", moved(27, 0.02), "VALID,0.02,1e-8,-18.0,2026,3,20,9,1,28000,VALID"),
            "",
        ),
        30: (fake.bestxyza(solutions[30], kind="PSRDIFF", ages_s=(250.0, 0.0)), ""),
    }
    for number, (content, _) in strange.items():
        frames[number] = content
    log = tmp_path / "receiver.log"
    log.write_bytes(fake.bestxyza(unset, "INSUFFICIENT_OBS", "UNKNOWN") + b"".join(frames))
    result = determined(log)
    causes = [strange[number][1] if number in strange else "" for number in range(len(frames))]
    assert list(result.fixes.position_cause) == causes
    assert [record.cause for record in result.untimed] == ["no_time"]
    assert result.smoothed is not None
    truth = pg.load_truth(TRUTH).at(result.fixes.gps_ms)
    assert np.linalg.norm(result.smoothed.position_ecef_m - truth.position_ecef_m, axis=1).max() < 15.0
    log.write_bytes(b"".join(coarse))
    smoothed = determined(log).smoothed
    assert smoothed is not None
    assert 70.0 < np.linalg.norm(smoothed.sigma_ecef[-1, :3]) < 90.0


def test_times_before_the_leap_seconds_are_known_are_corrected(solutions: list[Solution], tmp_path: Path) -> None:
    log = tmp_path / "receiver.nmea"
    early = (one._replace(leap_s=16) for one in solutions[:8])
    log.write_bytes(b"".join(map(fake.sentences, (*early, *solutions[8:20]))))
    flown = pg.replay_files(log).result
    assert any(note.startswith("the receiver's time steps by -2 s at 2025-03-20T") for note in flown.notes)
    result = determined(log)
    assert any(note.startswith("times of the first fixes are corrected by -2 s") for note in result.notes)
    truth = pg.load_truth(TRUTH).at(result.fixes.gps_ms)
    assert result.smoothed is not None
    assert np.linalg.norm(result.smoothed.position_ecef_m - truth.position_ecef_m, axis=1).max() < 10.0


def test_records_before_the_first_fix_do_not_count_as_its_time(solutions: list[Solution], tmp_path: Path) -> None:
    log = tmp_path / "receiver.ubx"
    unset = (one._replace(gps_ms=MS_PER_WEEK + 1000 * row) for row, one in enumerate(solutions[:8]))
    log.write_bytes(b"".join([*(fake.nav_pvt(one, 0) for one in unset), *map(fake.nav_pvt, solutions[:20])]))
    result = orbit(log, "--out", tmp_path / "out")
    assert "28 fixes: 20 used, 8 not used" in result.output
    assert "2025-03-20T00:00:20.000Z to 2025-03-20T00:32:00.000Z: 31 min 40 s" in result.output
    assert "Earth orientation" not in result.output


@pytest.mark.parametrize("content", [b"", b"not a log\r\n" * 40, bytes(4000)])
def test_an_unknown_file_is_refused_with_what_was_looked_for(content: bytes, tmp_path: Path) -> None:
    log = tmp_path / "receiver.log"
    log.write_bytes(content)
    found = orbit(log, "--out", tmp_path / "out")
    assert found.exit_code == ExitCode.INPUT
    assert not content or all(name in found.stderr for name in ("sense file", "NovAtel", "UBX", "SBF", "SkyTraq"))
    assert not (tmp_path / "out").exists()
