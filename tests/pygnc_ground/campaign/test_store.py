import errno
import gc
import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from pygnc_ground.campaign import folder as folder_module
from pygnc_ground.campaign import store as store_module
from pygnc_ground.campaign.definition import Campaign, plan_run
from pygnc_ground.campaign.run import RunResult, failed_row, key_row
from pygnc_ground.campaign.schema import FAILED
from pygnc_ground.campaign.store import Store, load_campaign, load_tables, stored_row
from pygnc_ground.campaign.time_bins import BinRow
from tests.pygnc_ground.campaign.samples import short_campaign

NOISE = "scenario.gps.position_noise_m"


def result(campaign: Campaign, run: int) -> RunResult:
    plan = plan_run(campaign, run)
    if run == 3:
        return RunResult(failed_row(plan, "ValueError: no", "trace"), [], 0.1, 100.0)
    row = key_row(plan) | {"orbit_filter_error_m": 0.1 * run, "orbit_filter_nis": float("nan")}
    bins = [BinRow("orbit filter", begin_s, 24, 0.1 * run, 1.0, float("nan"), 1.0, 1.0) for begin_s in (0.0, 600.0)]
    return RunResult(row, bins, 0.1, 100.0)


@pytest.fixture
def campaign() -> Campaign:
    return short_campaign(repetitions=4, grid={NOISE: [1.0, 2.0]})


def test_the_garbage_collector_leaves_out_the_bins(campaign: Campaign) -> None:
    """Results that wait for being written would otherwise take half the time of a large campaign."""
    assert not any(map(gc.is_tracked, result(campaign, 0).bins))


def content(folder: Path, table: str) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted((folder / f"{table}.parquet").iterdir())]


def test_tables_are_in_the_order_of_the_runs(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PARTITION_RUNS", 3)
    for name, order in (("a", range(8)), ("b", (5, 2, 7, 0, 1, 6, 3, 4))):
        with Store(tmp_path / name, campaign) as store:
            for number, run in enumerate(order):
                store.add(result(campaign, run), "here")
                if number % 3 == 2:
                    store.write()
            store.merge()
    for table in ("runs", "bins"):
        assert content(tmp_path / "a", table) == content(tmp_path / "b", table)
    assert [name for name, _ in content(tmp_path / "a", "runs")] == [f"part-00000{part}.parquet" for part in range(3)]
    runs = pl.read_parquet(tmp_path / "a" / "runs.parquet")
    assert runs["run"].to_list() == list(range(8))
    assert runs[NOISE].to_list() == [1.0] * 4 + [2.0] * 4
    assert runs["orbit_filter_nis"].null_count() == 8
    assert runs.filter(pl.col("status") == FAILED)["seed"].to_list() == [4]
    assert not list((tmp_path / "b" / "parts").iterdir())
    for table in ("runs", "bins", "effort"):
        file = tmp_path / "a" / f"{table}.parquet" / "part-000000.parquet"
        about = pl.read_parquet_metadata(file)
        assert about["software"].startswith("PyGNC ")
        assert len(about["settings_sha256"]) == 64
        assert json.loads(about["columns"]).keys() == pl.read_parquet_schema(file).keys()
    assert stored_row(tmp_path / "b", 4) == runs.row(4, named=True)


def test_an_interrupted_campaign_continues(campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PARTITION_RUNS", 3)

    def compute() -> None:
        with Store(tmp_path / "c", campaign) as store:
            for run in (0, 3):
                store.add(result(campaign, run), "here")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute()
    assert load_tables(tmp_path / "c")["runs"]["run"].to_list() == [0, 3]
    # Files of a part or partition whose last file was not written do not count, and are replaced.
    (tmp_path / "c" / "parts" / "bins-000000-000002.parquet").write_bytes(b"")
    (tmp_path / "c" / "bins.parquet").mkdir()
    (tmp_path / "c" / "bins.parquet" / "part-000001.parquet").write_bytes(b"")
    with Store(tmp_path / "c", campaign) as store:
        assert store.finished == {0, 3}
        assert store.failed == 1
        for run in (1, 2):
            store.add(result(campaign, run), "here")
        # The process is killed before all parts of the partition are deleted.
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_delete_parts", lambda *_: None)
            store.write()
    assert list((tmp_path / "c" / "parts").glob("runs-000000-*"))
    assert load_tables(tmp_path / "c")["runs"]["run"].to_list() == [0, 1, 2, 3]
    with Store(tmp_path / "c", campaign) as store:
        assert not list((tmp_path / "c" / "parts").glob("runs-000000-*"))
        for run in {*range(8)} - store.finished:
            store.add(result(campaign, run), "here")
        store.merge()
    tables = load_tables(tmp_path / "c")
    assert tables["runs"]["run"].to_list() == list(range(8))
    assert tables["bins"].height == 14
    with Store(tmp_path / "c", campaign) as store:
        assert len(store.finished) == 8
        store.merge()
    assert load_tables(tmp_path / "c")["runs"].equals(tables["runs"])


def test_results_at_an_address_are_equal(campaign: Campaign, tmp_path: Path) -> None:
    address = "memory://bucket/c"
    for run in (1, 0):  # continued once
        with Store(address, campaign) as store:
            for each in range(run, 8, 2):
                store.add(result(campaign, each), "here")
            sizes = store.merge()
    assert [*sizes] == [f"{address}/{table}.parquet" for table in ("runs", "effort", "bins")]
    assert min(sizes.values()) > 0
    with Store(tmp_path / "c", campaign) as store:
        for run in range(8):
            store.add(result(campaign, run), "here")
        store.merge()
    for name, table in load_tables(address).items():
        assert table.equals(load_tables(tmp_path / "c")[name])
    assert load_campaign(address) == campaign
    assert stored_row(address, 7) == stored_row(tmp_path / "c", 7)
    with pytest.raises(ValueError, match="smoke"):
        Store("smoke://signals", campaign)


def test_results_of_an_earlier_version_lack_columns(campaign: Campaign, tmp_path: Path) -> None:
    with Store(tmp_path / "c", campaign) as store:
        for run in range(8):
            store.add(result(campaign, run), "here")
        store.merge()
    runs, path = load_tables(tmp_path / "c")["runs"], tmp_path / "c" / "runs.parquet"
    shutil.rmtree(path)
    runs.drop("formation_batch_error_m").write_parquet(path)
    assert stored_row(tmp_path / "c", 7) is not None
    assert load_tables(tmp_path / "c")["runs"]["formation_batch_error_m"].is_null().all()


def test_a_full_disk_keeps_what_was_written(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def compute() -> None:
        with Store(tmp_path / "c", campaign) as store:
            store.add(result(campaign, 0), "here")
            store.write()
            monkeypatch.setattr(folder_module, "durable_write", full)
            store.add(result(campaign, 1), "here")
            store.write()

    with pytest.raises(OSError, match="No space left"):
        compute()
    monkeypatch.undo()
    with Store(tmp_path / "c", campaign) as store:
        assert store.finished == {0}
    assert stored_row(tmp_path / "c", 1) is None


def test_a_folder_of_something_else_is_refused(campaign: Campaign, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("not ours")
    with pytest.raises(ValueError, match="not a campaign"):
        Store(tmp_path, campaign)
    with Store(tmp_path / "c", campaign), pytest.raises(ValueError, match="another process"):
        Store(tmp_path / "c", campaign)
    with pytest.raises(ValueError, match=rf"grid\.{NOISE}\[1\]"):
        Store(tmp_path / "c", short_campaign(repetitions=4, grid={NOISE: [1.0, 3.0]}))
    with pytest.raises(ValueError, match="no run is finished"):
        load_tables(tmp_path / "c")
