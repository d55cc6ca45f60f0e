"""Resolution of the libraries of the distributions."""

import tomllib
from pathlib import Path

import pytest

from scripts.check_resolution import PLATFORMS, PYTHONS, libraries_of, resolve
from tests.package_index import skip_without_index, uv

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = PROJECT["tool"]["pygnc"]["distributions"]


def test_libraries_are_those_of_the_distribution_its_extras_and_its_siblings() -> None:
    ground = libraries_of("pygnc-ground", PROJECT)
    assert {"brahe", "scipy", "satkit", "msgspec"} <= {text.partition(">")[0] for text in ground}
    assert not [text for text in ground if text.startswith("pygnc")]
    assert set(libraries_of("pygnc", PROJECT)) <= set(ground)


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", PLATFORMS)
def test_every_library_has_a_wheel_for_the_newest_python(kind: str) -> None:
    # All distributions together: what can be installed together can also be installed alone.
    libraries = sorted({library for name in DISTRIBUTIONS for library in libraries_of(name, PROJECT)})
    found = resolve(uv(), libraries, PYTHONS[-1], kind)
    skip_without_index(found.reason)
    assert (found.libraries > 0, found.reason) == (True, "")


@pytest.mark.slow
@pytest.mark.index
def test_a_library_without_a_wheel_is_named() -> None:
    found = resolve(uv(), ["numpy==1.19.0"], "3.13", "aarch64")
    skip_without_index(found.reason)
    assert found.libraries == 0
    assert "numpy" in found.reason
