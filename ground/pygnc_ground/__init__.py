"""Analysis on the ground: replay, scenarios, truth files, bounds, calibration, campaigns.

The names of `__all__` are the public interface; docs/python.md describes it. Each is imported on first use, so that
`import pygnc_ground` takes milliseconds and needs no optional library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pygnc_ground.calibration.calibrate import Calibrated as Calibrated
    from pygnc_ground.calibration.calibrate import calibrate_magnetometer as calibrate_magnetometer
    from pygnc_ground.campaign.compute import campaign_tables as campaign_tables
    from pygnc_ground.campaign.compute import run_campaign as run_campaign
    from pygnc_ground.formation.bound import FormationBound as FormationBound
    from pygnc_ground.formation.bound import bound_formation as bound_formation
    from pygnc_ground.gate.compare import compare_tables as compare_tables
    from pygnc_ground.inspection.journal import journal_tables as journal_tables
    from pygnc_ground.orbit.bound import OrbitBounds as OrbitBounds
    from pygnc_ground.orbit.bound import bound_recording as bound_recording
    from pygnc_ground.orbit.bound import bound_scenario as bound_scenario
    from pygnc_ground.replay.files import flight_settings as flight_settings
    from pygnc_ground.report.replay import Replay as Replay
    from pygnc_ground.report.replay import replay_files as replay_files
    from pygnc_ground.scenario.make import GeneratedScenario as GeneratedScenario
    from pygnc_ground.scenario.make import make_scenario as make_scenario
    from pygnc_ground.scenario.presets import scenario_presets as scenario_presets
    from pygnc_ground.scenario.presets import scenario_settings as scenario_settings
    from pygnc_ground.truth.load import load_attitude_truth as load_attitude_truth
    from pygnc_ground.truth.load import load_truth as load_truth

_MODULES: Final = {
    "Calibrated": "calibration.calibrate",
    "FormationBound": "formation.bound",
    "GeneratedScenario": "scenario.make",
    "OrbitBounds": "orbit.bound",
    "Replay": "report.replay",
    "bound_formation": "formation.bound",
    "bound_recording": "orbit.bound",
    "bound_scenario": "orbit.bound",
    "calibrate_magnetometer": "calibration.calibrate",
    "campaign_tables": "campaign.compute",
    "compare_tables": "gate.compare",
    "flight_settings": "replay.files",
    "journal_tables": "inspection.journal",
    "load_attitude_truth": "truth.load",
    "load_truth": "truth.load",
    "make_scenario": "scenario.make",
    "replay_files": "report.replay",
    "run_campaign": "campaign.compute",
    "scenario_presets": "scenario.presets",
    "scenario_settings": "scenario.presets",
}
"""Modules of the public names."""

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type checker sees the imports above
    """Import a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
