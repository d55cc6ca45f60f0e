"""Modules loaded before the fork and by the tasks."""

import json
import subprocess
import sys
from itertools import combinations
from typing import Final

from pygnc.tasks.table import TASKS

LOADED: Final = """
import importlib, json, sys
import pygnc.launch.run
from pygnc.tasks.table import SHARED
for module in SHARED:
    importlib.import_module(module)
shared = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - shared)))
"""


def test_no_two_tasks_load_the_same_module() -> None:
    everywhere = [spec for spec in TASKS if spec.name not in {"host_link", "devices"}]
    own = {spec.name: loaded_by(f"pygnc.tasks.{spec.name}.task") for spec in everywhere}
    twice = {(one, other): own[one] & own[other] for one, other in combinations(own, 2)}
    assert {pair: modules for pair, modules in twice.items() if modules} == {}, "name them in SHARED of tasks/table.py"


def loaded_by(module: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, module], capture_output=True, check=True, timeout=60)
    return {name for name in json.loads(done.stdout) if name.startswith("pygnc")}
