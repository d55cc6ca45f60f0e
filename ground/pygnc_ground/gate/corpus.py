"""Corpus of recorded runs: one folder per run, with its input files and `run.toml`, which names them.

`run.toml` has the options of `pygnc replay` as keys: sense, satellites, ranges, truth, object, partner_truth, config,
earth_orientation, elements. Paths are relative to the run's folder. `note` describes the run.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.satellites import SatelliteFolder
from pygnc_ground.scenario.settings import dump_tables

RUN_FILE: Final = "run.toml"
REFERENCE_FOLDER: Final = "reference"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CorpusError(ValueError):
    """Error raised when a corpus or a run in it cannot be used; the message names the file and the remedy."""


class _RunTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Content of `run.toml`."""

    note: str = ""
    sense: list[str] = []
    satellites: list[str] = []
    ranges: str | None = None
    truth: str | None = None
    object: str | None = None
    partner_truth: list[str] = []
    config: str | None = None
    earth_orientation: str | None = None
    elements: str | None = None


def run_folders(corpus: Path, names: Sequence[str] = ()) -> list[Path]:
    """Return the folders of the named runs, by default of all runs, in alphabetical order.

    Raises:
        CorpusError: The corpus has no run, a folder in it is no run, or a named run does not exist.
    """
    if not corpus.is_dir():
        raise CorpusError(f"{corpus}: not a folder; pygnc gate add creates a corpus with its first run")
    folders = {path.name: path for path in sorted(corpus.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    for folder in folders.values():
        if not (folder / RUN_FILE).exists():
            raise CorpusError(f"{folder}: has no {RUN_FILE}; write one, add the run by pygnc gate add, or move it away")
    if not folders:
        raise CorpusError(f"{corpus}: has no run; add one by pygnc gate add")
    unknown = [name for name in names if name not in folders]
    if unknown:
        raise CorpusError(f"{corpus}: has no run {unknown[0]!r}; choose from {', '.join(folders)}")
    return [folder for name, folder in folders.items() if not names or name in names]


def read_run(folder: Path) -> RecordedFiles:
    """Return the files of a run.

    Raises:
        CorpusError: `run.toml` is damaged, or names a file that is missing.
        OSError: It cannot be read.
    """
    file = folder / RUN_FILE
    try:
        table = msgspec.toml.decode(file.read_bytes(), type=_RunTable)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        keys = ", ".join(_RunTable.__struct_fields__)
        raise CorpusError(f"{file}: {error}; the keys are {keys}") from error
    satellites = tuple(SatelliteFolder(*_pair(text, folder, file)) for text in table.satellites)
    partners = tuple("=".join(map(str, _pair(text, folder, file))) for text in table.partner_truth)

    def single(name: str | None) -> Path | None:
        return None if name is None else _existing(folder / name, file)

    return RecordedFiles(
        sense=tuple(_existing(folder / name, file) for name in table.sense),
        satellites=satellites,
        object_name=table.object,
        partner_truth=partners,
        ranges=single(table.ranges),
        truth=single(table.truth),
        config=single(table.config),
        earth_orientation=single(table.earth_orientation),
        elements=single(table.elements),
    )


def _pair(text: str, folder: Path, file: Path) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not (name and path):
        raise CorpusError(f"{file}: {text!r} must be NAME=PATH")
    return name, _existing(folder / path, file)


def _existing(path: Path, file: Path) -> Path:
    if not path.exists():
        raise CorpusError(f"{path}: does not exist; restore it or correct {file}")
    return path


def input_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a run, without its reference, by path in the folder."""
    digests: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not name.parts[0].startswith((REFERENCE_FOLDER, ".")):
            with path.open("rb") as file:
                digests[str(name)] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def add_run(corpus: Path, name: str, files: RecordedFiles, note: str = "") -> Path:
    """Copy the files of a run into the corpus, which is created if missing; return the run's folder.

    Raises:
        CorpusError: The name has other characters than letters, digits, ".", "_" and "-", or is taken.
        OSError: A file cannot be copied.
    """
    if not _NAME.fullmatch(name):
        raise CorpusError(f"{name!r}: a run's name consists of letters, digits, '.', '_' and '-'")
    folder = corpus / name
    if folder.exists():
        raise CorpusError(f"{folder}: exists; choose another name, or remove it first")
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=corpus) as temporary:
        place = Path(temporary) / name
        place.mkdir()
        table = msgspec.to_builtins(_copied(files, place, note))
        (place / RUN_FILE).write_text(dump_tables(table), encoding="utf-8")
        place.rename(folder)
    return folder


def _copied(files: RecordedFiles, place: Path, note: str) -> _RunTable:
    """Copy all files to the folder `place`; return the table that names the copies."""

    def copy(path: Path | None, name: str | None = None) -> str | None:
        if path is None:
            return None
        target = place / (name or path.resolve().name)
        number = 2
        while target.exists():
            target = target.with_name(f"{path.stem}_{number}{path.suffix}")
            number += 1
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copyfile(path, target)
        return target.name

    pairs = [text.partition("=") for text in files.partner_truth]
    partners = [(name, copy(Path(path), f"partner_{name}{Path(path).suffix}")) for name, _, path in pairs]
    return _RunTable(
        note=note,
        sense=[str(copy(path)) for path in files.sense],
        satellites=[f"{of.name}={copy(of.folder, of.name)}" for of in files.satellites],
        ranges=copy(files.ranges, "range"),
        truth=copy(files.truth),
        object=files.object_name,
        partner_truth=[f"{name}={file}" for name, file in partners],
        config=copy(files.config),
        earth_orientation=copy(files.earth_orientation),
        elements=copy(files.elements),
    )
