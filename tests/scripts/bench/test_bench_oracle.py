import importlib.util
from pathlib import Path

import pytest

from scripts.bench.bench_oracle import main


def test_without_basilisk_nothing_is_flown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench_oracle", str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main() == 0
    assert capsys.readouterr().out == "not run: Basilisk is missing (pip install bsk)\n"


def test_without_data_of_basilisk_nothing_is_flown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench_oracle", str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", str)
    assert main() == 0
    assert capsys.readouterr().out == f"not run: {tmp_path} is not the folder supportData of Basilisk\n"
