from pathlib import Path

import numpy as np
import pytest

from scripts.bench.bench_reality import PERIOD_S, ElfinDay, main, spin_fits


def test_windows_contain_amplitude_and_constant_of_a_rotating_magnetometer() -> None:
    gps_ms = np.concatenate((np.arange(0, 120_000, 100), np.arange(3_600_000, 3_720_000, 100)))
    angle = 2e-3 * np.pi / PERIOD_S * gps_ms
    mag_ut = np.column_stack((4.0 - 5.0 * np.cos(angle), np.full(len(angle), -2.0), 30.0 * np.sin(angle)))
    ones = np.ones((len(gps_ms), 1))
    windows = spin_fits(ElfinDay(gps_ms, mag_ut, ones * (3.0, 4.0, 7.0), ones * (0.0, 0.0, 1.0), ones[:, 0]))
    assert windows.arc.tolist() == [0] * 7 + [1] * 7
    np.testing.assert_allclose(windows.constant_ut, np.tile((4.0, -2.0, 0.0), (14, 1)), atol=0.05)
    np.testing.assert_allclose(windows.amplitude_ut, np.tile((5.0, 0.0, 30.0), (14, 1)), atol=0.05)
    np.testing.assert_allclose(windows.across_ut, 5.0)
    np.testing.assert_allclose(windows.along_ut, 7.0)


def test_parts_without_their_file_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench_reality", str(tmp_path)])
    assert main() == 0
    assert capsys.readouterr().out.count(f"not run: {tmp_path}") == 2
