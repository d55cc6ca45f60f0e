"""Import rules of the device families, whose list is in `pygnc_devices.family`; pyproject.toml has the other layers."""

import tomllib
from pathlib import Path

import pytest
from grimp import ImportGraph, Layer, build_graph

from pygnc_devices import family

CONTRACTS = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["tool"]["importlinter"]
(LINES,) = (rule["layers"] for rule in CONTRACTS["contracts"] if rule["name"] == "layers of pygnc_devices")
LAYERS = [frozenset(line.split(" | ")) for line in LINES]
FAMILIES = frozenset(module.split(".")[1] for module in family.BUILT_IN.values())


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return build_graph("pygnc_devices", cache_dir=None)


def test_every_module_is_a_family_or_in_a_layer(graph: ImportGraph) -> None:
    modules = {module.rpartition(".")[2] for module in graph.find_children("pygnc_devices")}
    assert modules == FAMILIES.union(*LAYERS)


def test_families_import_no_other_family_and_no_layer_imports_a_family(graph: ImportGraph) -> None:
    first, *others = LAYERS
    layers = [Layer(*names, independent=True) for names in (first | FAMILIES, *others)]
    assert not graph.find_illegal_dependencies_for_layers(layers, containers={"pygnc_devices"})
