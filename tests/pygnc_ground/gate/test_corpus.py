"""Corpus: adding and reading runs, and what is reported if files are missing or wrong."""

import shutil
from pathlib import Path

import pytest

from pygnc_ground.gate.corpus import CorpusError, add_run, input_digests, read_run, run_folders
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.satellites import SatelliteFolder


@pytest.fixture
def files(tmp_path: Path) -> RecordedFiles:
    """Files of one satellite, two of them with the same name."""
    for name in ("one/sense.bin", "two/sense.bin", "range/rng00000.bin", "range/partner_75/rng00000.bin", "t.parquet"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    root = tmp_path / "files"
    return RecordedFiles(
        sense=(root / "one" / "sense.bin", root / "two" / "sense.bin"),
        ranges=root / "range",
        truth=root / "t.parquet",
        object_name="PG1",
        partner_truth=(f"75={root / 't.parquet'}",),
    )


def test_a_run_is_a_copy_that_does_not_need_the_originals(files: RecordedFiles, tmp_path: Path) -> None:
    folder = add_run(tmp_path / "corpus", "flight_1", files, 'note with "quotes" and µ')
    shutil.rmtree(tmp_path / "files")
    assert run_folders(tmp_path / "corpus") == [folder]
    found = read_run(folder)
    assert [path.read_text() for path in found.sense] == ["one/sense.bin", "two/sense.bin"]
    assert found.ranges == folder / "range"
    assert (folder / "range" / "partner_75" / "rng00000.bin").exists()
    assert found.truth is not None
    assert found.truth.read_text() == "t.parquet"
    assert found.object_name == "PG1"
    assert found.partner_truth == (f"75={folder / 'partner_75.parquet'}",)
    assert "µ" in (folder / "run.toml").read_text(encoding="utf-8")


def test_satellites_are_copied_with_their_folders(files: RecordedFiles, tmp_path: Path) -> None:
    of = tuple(SatelliteFolder(name, path.parent) for name, path in zip(("74", "75"), files.sense, strict=True))
    folder = add_run(tmp_path / "corpus", "pair", RecordedFiles(satellites=of))
    assert read_run(folder).satellites == (
        SatelliteFolder("74", folder / "74"),
        SatelliteFolder("75", folder / "75"),
    )


def test_a_failed_copy_leaves_nothing(files: RecordedFiles, tmp_path: Path) -> None:
    (tmp_path / "files" / "t.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        add_run(tmp_path / "corpus", "run", files)
    assert list((tmp_path / "corpus").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../run", "a/b", ".hidden", "a b"])
def test_names_that_are_no_folder_names_are_refused(name: str, files: RecordedFiles, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="name"):
        add_run(tmp_path / "corpus", name, files)
    assert not (tmp_path / "corpus").exists()


def test_a_taken_name_is_refused(files: RecordedFiles, tmp_path: Path) -> None:
    add_run(tmp_path, "run", files)
    with pytest.raises(CorpusError, match="exists"):
        add_run(tmp_path, "run", files)


def test_a_corpus_without_runs_or_with_other_folders_is_refused(files: RecordedFiles, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    with pytest.raises(CorpusError, match="not a folder"):
        run_folders(corpus)
    corpus.mkdir()
    with pytest.raises(CorpusError, match="no run"):
        run_folders(corpus)
    add_run(corpus, "run", files)
    with pytest.raises(CorpusError, match="'other'; choose from run"):
        run_folders(corpus, ["other"])
    (corpus / "stray").mkdir()
    with pytest.raises(CorpusError, match=r"stray: has no run\.toml"):
        run_folders(corpus)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('sens = ["sense.bin"]', "sens"),
        ('sense = "sense.bin"', "sense"),
        ("sense = [", "run.toml"),
        ('sense = ["missing.bin"]', "missing.bin"),
        ('satellites = ["74"]', "NAME=PATH"),
    ],
)
def test_a_damaged_run_file_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(CorpusError, match=named):
        read_run(tmp_path)


def test_digests_of_the_inputs_leave_the_reference_out(files: RecordedFiles, tmp_path: Path) -> None:
    folder = add_run(tmp_path / "corpus", "run", files)
    before = input_digests(folder)
    assert len(before) == 7
    (folder / "reference").mkdir()
    (folder / "reference" / "orbit.parquet").touch()
    assert input_digests(folder) == before
    (folder / "range" / "rng00000.bin").write_bytes(b"other")
    after = input_digests(folder)
    assert {name for name in before if before[name] != after[name]} == {"range/rng00000.bin"}
