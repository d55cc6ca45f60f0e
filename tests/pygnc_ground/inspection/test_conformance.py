"""Conformance tests of all viewers; a new viewer only needs a sample."""

import io
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pygnc_ground.inspection.registry import VIEWERS as OURS
from pygnc_ground.inspection.registry import find_viewer
from pygnc_ground.inspection.render import render, to_json_lines
from pygnc_ground.inspection.sections import Entry, Note, Section, Viewer
from pygnc_old_logs.viewer import OLD_LOGS
from tests.pygnc_ground.inspection.samples import SAMPLES

VIEWERS = (*OURS, OLD_LOGS)
WIDTH = 100
every_viewer = pytest.mark.parametrize("viewer", VIEWERS, ids=lambda viewer: viewer.kind)


def all_as_json(viewer: Viewer, path: Path) -> list[Section]:
    """View everything and check that it can be written as JSON lines."""
    sections = list(viewer.view(path, 1000))
    for section in sections:
        for line in to_json_lines(path, section):
            assert isinstance(json.loads(line, parse_constant=pytest.fail), dict)
    return sections


def as_text(sections: list[Section]) -> str:
    output = io.StringIO()
    console = Console(file=output, width=WIDTH, color_system=None)
    for section in sections:
        console.print(render(section))
    return output.getvalue()


def test_every_viewer_has_a_sample_and_every_sample_a_viewer() -> None:
    assert {viewer.kind for viewer in VIEWERS} == set(SAMPLES)


@every_viewer
def test_a_viewer_recognises_its_own_sample_and_no_other(viewer: Viewer) -> None:
    assert [kind for kind, sample in SAMPLES.items() if viewer.recognises(sample)] == [viewer.kind]


@every_viewer
def test_recognition_does_not_depend_on_the_name(viewer: Viewer, tmp_path: Path) -> None:
    path = tmp_path / "status.pgj.txt"
    path.write_bytes(SAMPLES[viewer.kind])
    assert find_viewer(path) is viewer


@every_viewer
def test_no_viewer_recognises_noise_or_an_empty_page(viewer: Viewer) -> None:
    assert not viewer.recognises(random.Random(2).randbytes(1 << 16))  # noqa: S311 - noise, no secret
    assert not viewer.recognises(bytes(1 << 16))


@every_viewer
def test_an_undamaged_file_is_shown_without_a_fault(viewer: Viewer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(SAMPLES[viewer.kind])
    sections = list(viewer.view(tmp_path / "file", 1000))
    assert sections
    assert not any(isinstance(section, Note) and section.fault for section in sections)


@every_viewer
def test_no_messages_are_shown_unless_asked_for(viewer: Viewer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(SAMPLES[viewer.kind])
    assert not any(isinstance(section, Entry) for section in viewer.view(tmp_path / "file", 0))


@every_viewer
def test_a_file_cut_anywhere_is_shown(viewer: Viewer, tmp_path: Path) -> None:
    sample = SAMPLES[viewer.kind]
    (tmp_path / "file").write_bytes(sample)
    for length in reversed(range(len(sample))):
        os.truncate(tmp_path / "file", length)
        all_as_json(viewer, tmp_path / "file")


@every_viewer
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_shown(viewer: Viewer, tmp_path: Path, data: st.DataObject) -> None:
    sample = SAMPLES[viewer.kind]
    start = data.draw(st.integers(0, len(sample)), label="from")
    stop = data.draw(st.integers(start, len(sample)), label="to")
    damaged = sample[:start] + data.draw(st.binary(max_size=64), label="put in its place") + sample[stop:]
    (tmp_path / "file").write_bytes(damaged)
    viewer.recognises(damaged)
    as_text(all_as_json(viewer, tmp_path / "file"))


@every_viewer
def test_output_fits_the_terminal_width(viewer: Viewer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(SAMPLES[viewer.kind])
    lines = as_text(all_as_json(viewer, tmp_path / "file")).splitlines()
    assert lines
    assert max(map(len, lines)) <= WIDTH
