"""Licence of an installed library: the newest field of its metadata that names one."""

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from scripts.release.declared_licence import declared_licence

EXPRESSION = "License-Expression: MIT OR Apache-2.0"
NAME = "License: BSD 3-Clause"
TEXT = "License: Copyright (c) 2026\n        Redistribution is permitted"
LONG = f"License: {'all rights ' * 20}"
CLASSIFIERS = (
    "Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: Science\nClassifier: License :: Other"
)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([CLASSIFIERS, NAME, EXPRESSION], "MIT OR Apache-2.0"),
        ([CLASSIFIERS, NAME], "BSD 3-Clause"),
        ([CLASSIFIERS, TEXT], "MIT License / Other"),
        ([CLASSIFIERS, LONG], "MIT License / Other"),
        ([TEXT], None),
        ([], None),
    ],
)
def test_the_newest_field_with_a_name_counts(tmp_path: Path, fields: list[str], licence: str | None) -> None:
    folder = tmp_path / "library-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: library", "Version: 1.0", *fields, ""]))
    assert declared_licence(PathDistribution(folder)) == licence
