"""Definition of a campaign, read from a TOML file: scenarios, settings, estimators, and what varies between runs."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from pygnc.configuration.load import settings_from_table
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc_ground.campaign.draws import Draw, drawn_value
from pygnc_ground.campaign.known_keys import require_known, unknown_key, value_names
from pygnc_ground.campaign.sensor_faults import SensorFault
from pygnc_ground.replay.choices import FilterName
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.sensor_settings import Count, Fraction, NonNegative, Positive, Section
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from pygnc_ground.scenario.settings import Tables, merge_tables, read_tables, settings_from_tables


class Estimators(Section, frozen=True):
    """Settings of the estimators to run and of the figures to compute."""

    filter: FilterName = FilterName.EKF
    """Orbit filter: `ekf`, that of the flight software, or `ukf`, a reference."""
    orbit: tuple[Literal["filter", "smoother", "batch", "prediction"], ...] = ("filter",)
    """Orbit estimators to judge: `filter`, `smoother`, `batch`, `prediction`. The filter always runs. The error of a
    prediction is that along the orbit; a scenario with predictions has no partners.
    """
    predictions_h: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)] = (24.0, 72.0)
    """Times of the predictions after the newest estimate, in increasing order."""
    attitude: tuple[Literal["filter", "smoother"], ...] = ("filter",)
    """Attitude estimators to judge: `filter`, `smoother`; empty to skip the attitude."""
    formation: tuple[Literal["batch", "filter"], ...] = ()
    """Formation estimators to judge: `batch`, the solution of the flight software at the end of the flight; `filter`,
    its estimates in the second half if that is received live. The scenario needs partners.
    """
    bounds: tuple[Literal["orbit", "attitude", "formation"], ...] = ()
    """Cramér-Rao bounds to compute: `orbit`, `attitude`, `formation`. A bound takes as long as filter and smoother."""
    orbit_settled: Fraction = 1.0 / 3.0
    """First part of the time that the errors of the orbit omit, in which the filter converges, as a fraction."""
    attitude_settled_s: NonNegative = 1800.0
    """Time from the first sample that the errors of the attitude omit."""


class Case(Section, frozen=True):
    """Named variant of a campaign; its values override those of the campaign."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    """Name of the variant in results and report."""
    preset: str | None = None
    """Preset of the scenario, instead of the campaign's."""
    scenario: dict[str, Any] = msgspec.field(default_factory=dict)
    """Settings of the scenario."""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """Settings of the flight software."""
    random: dict[str, Draw] = msgspec.field(default_factory=dict)
    """Draws besides those of the campaign, or instead of them."""
    sensor_faults: tuple[SensorFault, ...] = ()
    """Faults of sensors besides those of the campaign."""


class Campaign(Section, frozen=True):
    """Settings of a campaign."""

    title: str = ""
    """Heading of the report."""
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    """Seed of the first repetition; the others have the following numbers."""
    repetitions: Count = 20
    """Runs of each case at each point of the grid, each with its own seed."""
    begin: Literal["start", "sunlight"] = "start"
    """First record of the flights: that at the start, or the first one in sunlight."""
    bin_s: Positive = 600.0
    """Length of the time bins of the table `bins`."""
    preset: str | None = None
    """Preset of the scenario; `pygnc scenario presets` lists them."""
    scenario: dict[str, Any] = msgspec.field(default_factory=dict)
    """Settings of the scenario that override those of the preset."""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """Settings of the flight software, as in `pygnc.toml`."""
    estimators: Estimators = Estimators()
    grid: dict[str, Annotated[tuple[Any, ...], msgspec.Meta(min_length=1)]] = msgspec.field(default_factory=dict)
    """Values of settings by dotted name; the runs cover all combinations."""
    random: dict[str, Draw] = msgspec.field(default_factory=dict)
    """Draws of settings by dotted name."""
    sensor_faults: tuple[SensorFault, ...] = ()
    """Faults of sensors."""
    cases: tuple[Case, ...] = ()
    """Named variants of the campaign."""

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        if len({*names}) < len(names):
            raise ValueError("two cases have the same name; rename one of them")


class RunPlan(Section, frozen=True):
    """Everything that one run depends on; a worker needs nothing else."""

    run: int
    """Number of the run."""
    case: str
    """Name of the case; empty without cases."""
    point: int
    """Number of the point of the grid."""
    repetition: int
    seed: int
    """Seed of scenario, draws and faults; equal for the same repetition of all cases and points."""
    parameters: dict[str, Any]
    """Values of the grid and the draws by dotted name."""
    scenario: dict[str, Any]
    """Settings of the scenario."""
    settings: dict[str, Any]
    """Settings of the flight software."""
    estimators: Estimators
    sensor_faults: tuple[SensorFault, ...]
    begin: Literal["start", "sunlight"]
    bin_s: float

    @property
    def label(self) -> str:
        """Name of the run for messages."""
        return f"run {self.run}" + (f" ({self.case})" if self.case else "")

    def scenario_settings(self) -> ScenarioSettings:
        """Return the typed settings of the scenario.

        Raises:
            ValueError: A setting is of the wrong type or out of range.
        """
        return settings_from_tables(self.scenario, self.label)

    def flight_settings(self) -> FlightSettings:
        """Return the typed settings of the flight software.

        Raises:
            ValueError: A setting is of the wrong type or out of range.
        """
        return settings_from_table(self.settings, Path(self.label))


_ROOTS: Final[Mapping[str, Any]] = {"scenario": ScenarioSettings, "settings": FlightSettings, "estimators": Estimators}
"""Types of the tables whose values a dotted name may set."""
_SETTINGS_KEPT: Final = 4096
"""Settings of the flight software whose check is not repeated: points of a grid of scenarios share them."""
_DRAWS_KEPT: Final = 64
"""Drawn values that are kept: those of all points and cases are equal in the same repetition."""


def read_campaign(path: Path) -> Campaign:
    """Read and check the definition of a campaign.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not TOML, a key is unknown, or a value is of the wrong type or out of range.
    """
    return campaign_from_tables(read_tables(path), str(path))


def campaign_from_tables(tables: Tables, source: str) -> Campaign:
    """Return the checked definition of a campaign.

    Raises:
        ValueError: A key is unknown, or a value is of the wrong type or out of range; the message names `source`.
    """
    require_known(tables, Campaign, source)
    for owner, prefix in _owners(tables):
        _require_known_settings(owner, prefix, source)
    try:
        campaign = msgspec.convert(tables, Campaign)
    except msgspec.ValidationError as error:
        raise ValueError(f"{source}: {error}; correct the value") from error
    own_ids: dict[bytes, int] = {}
    try:
        for plan in first_runs(campaign):
            content = msgspec.msgpack.encode(plan.settings)
            if content not in own_ids:
                if len(own_ids) >= _SETTINGS_KEPT:
                    own_ids.clear()
                own_ids[content] = plan.flight_settings().formation.own_id
            _require_consistent(plan, own_ids[content])
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return campaign


def _require_consistent(plan: RunPlan, own_id: int) -> None:
    """Check a plan whose settings of the flight software name `own_id` as its radio id."""
    scenario = plan.scenario_settings()
    ids = scenario.formation.own_id, own_id
    steps_h = (after - before for before, after in pairwise((0.0, *plan.estimators.predictions_h)))
    judges_formation = bool(plan.estimators.formation) or "formation" in plan.estimators.bounds
    for is_wrong, fault in (
        (
            judges_formation and not scenario.partners,
            "the scenario has no partners for the estimators of the formation; add scenario.partners or remove them",
        ),
        (
            "formation" in plan.estimators.bounds and "batch" not in plan.estimators.formation,
            "estimators.bounds has the formation, which is a bound of the batch; add batch to estimators.formation",
        ),
        (
            "prediction" in plan.estimators.orbit and bool(scenario.partners),
            "predictions are those of a flight without partners; remove scenario.partners or the prediction",
        ),
        (
            min(steps_h) * 3600.0 < plan.bin_s,
            "estimators.predictions_h: times must increase by at least bin_s; put them in order or make bin_s smaller",
        ),
        (
            bool(scenario.partners) and plan.begin == "sunlight",
            'a flight with partners begins at the start; remove begin = "sunlight"',
        ),
        (
            bool(scenario.partners) and ids[0] != ids[1],
            f"scenario.formation.own_id is {ids[0]} and settings.formation.own_id {ids[1]}; make them equal",
        ),
    ):
        if is_wrong:
            raise ValueError(f"{plan.label}: {fault}")


def _require_known_settings(owner: Tables, prefix: str, source: str) -> None:
    """Check the names of settings in a campaign or in one of its cases, whose keys begin with `prefix`."""
    for table in ("scenario", "settings"):
        if isinstance(owner.get(table), dict):
            require_known(owner[table], _ROOTS[table], source, f"{prefix}{table}.")
    known = [name for root, kind in _ROOTS.items() for name in value_names(kind, f"{root}.")]
    varied = [owner.get(table) for table in ("grid", "random")]
    for name in (name for table in varied if isinstance(table, dict) for name in table):
        if name not in known:
            below = [key.removeprefix(f"{name}.") for key in known if key.startswith(f"{name}.")]
            table = f"{source}: {name} is a table; name one of its keys: {', '.join(below)}"
            raise ValueError(table if below else unknown_key(source, name, known))
    draws = owner.get("random")
    for name, draw in draws.items() if isinstance(draws, dict) else ():
        if isinstance(draw, dict):
            require_known(draw, Draw, source, f"{prefix}random.{name}.")
        try:
            msgspec.convert(draw, Draw)
        except msgspec.ValidationError as error:
            raise ValueError(f"{source}: {prefix}random.{name}: {error}; correct the draw") from error


def _owners(tables: Tables) -> Iterator[tuple[Tables, str]]:
    """Yield the campaign and each of its cases with the prefix of their keys."""
    yield tables, ""
    cases = tables.get("cases", [])
    for number, case in enumerate(cases if isinstance(cases, list) else []):
        if isinstance(case, dict):
            yield case, f"cases[{number}]."


def count_runs(campaign: Campaign) -> int:
    """Return the number of runs."""
    return math.prod(map(len, campaign.grid.values())) * max(len(campaign.cases), 1) * campaign.repetitions


def runs_in_order(campaign: Campaign) -> Iterator[int]:
    """Yield all numbers of runs in the order in which they are computed.

    If values are drawn, all runs of a repetition, which may have the same orbit, follow each other.
    """
    runs = range(count_runs(campaign))
    if not campaign.random and not any(case.random for case in campaign.cases):
        return iter(runs)
    return (run for repetition in range(campaign.repetitions) for run in runs[repetition :: campaign.repetitions])


def plan_run(campaign: Campaign, run: int) -> RunPlan:
    """Return the plan of run number `run`; see `plans`."""
    return next(plans(campaign, (run,)))


def first_runs(campaign: Campaign) -> Iterator[RunPlan]:
    """Yield the plan of the first repetition of each case at each point of the grid."""
    return plans(campaign, range(0, count_runs(campaign), campaign.repetitions))


def plans(campaign: Campaign, runs: Iterable[int]) -> Iterator[RunPlan]:
    """Yield the plans of runs: repetitions vary fastest, then points of the grid, then cases.

    A plan takes about 10 us, and 40 us for each new draw, for any number of runs.
    """
    cases = campaign.cases or (Case(name="-"),)
    draws = [{**campaign.random, **case.random} for case in cases]
    points = math.prod(map(len, campaign.grid.values()))

    @cache
    def tables(case: int) -> bytes:
        return msgspec.msgpack.encode(_tables_of(campaign, cases[case]))

    @lru_cache(_DRAWS_KEPT)
    def drawn(case: int, name: str, place: str, repetition: int) -> bytes:
        draw, seed = draws[case][name], campaign.seed + repetition
        return msgspec.msgpack.encode(drawn_value(draw, place, seed, repetition, campaign.repetitions))

    for run in runs:
        group, repetition = divmod(run, campaign.repetitions)
        number, point = divmod(group, points)
        scenario, settings, estimators = below = msgspec.msgpack.decode(tables(number))
        content = dict(zip(("scenario", "settings", "estimators"), below, strict=True))
        scenario["seed"] = seed = campaign.seed + repetition
        parameters = _values(campaign.grid, point)
        for name, value in parameters.items():
            for container, key, _ in _places(content, name):
                container[key] = value
        for name in draws[number]:
            places = list(_places(content, name))
            values = [msgspec.msgpack.decode(drawn(number, name, place, repetition)) for _, _, place in places]
            for (container, key, _), value in zip(places, values, strict=True):
                container[key] = value
            parameters[name] = values if "*" in name.split(".") else values[0]
        yield RunPlan(
            run=run,
            case=cases[number].name if campaign.cases else "",
            point=point,
            repetition=repetition,
            seed=seed,
            parameters=parameters,
            scenario=scenario,
            settings=settings,
            estimators=msgspec.convert(estimators, Estimators),
            sensor_faults=(*campaign.sensor_faults, *cases[number].sensor_faults),
            begin=campaign.begin,
            bin_s=campaign.bin_s,
        )


def _tables_of(campaign: Campaign, case: Case) -> tuple[Tables, Tables, Tables]:
    """Return scenario, settings and estimators of the runs of a case, without what varies between them."""
    preset = case.preset if case.preset is not None else campaign.preset
    scenario = preset_tables(preset) if preset is not None else {}
    settings: Tables = {}
    for owner in (campaign, case):
        scenario, settings = merge_tables(scenario, owner.scenario), merge_tables(settings, owner.settings)
    return scenario, settings, msgspec.to_builtins(campaign.estimators)


def _values(grid: Mapping[str, Sequence[Any]], point: int) -> dict[str, Any]:
    """Return the values of a point of the grid by name; the last name varies fastest."""
    values = {}
    for name, choices in reversed([*grid.items()]):
        point, place = divmod(point, len(choices))
        values[name] = choices[place]
    return {name: values[name] for name in grid}


def _places(container: Any, name: str, prefix: str = "") -> Iterator[tuple[Any, Any, str]]:  # noqa: ANN401 - any TOML
    """Yield table or list, key and full name of each value with a dotted name; missing tables are created.

    `*` stands for each element of a list. There are none if the value is no list, which the check of the settings
    reports.
    """
    if "*" not in name:
        *path, key = name.split(".")
        for part in path:
            below = container.get(part)
            if not isinstance(below, dict):
                container[part] = below = {}
            container = below
        yield container, key, prefix + name
        return
    key, _, below = name.partition(".")
    elements = range(len(container)) if isinstance(container, list) else ()
    places: Sequence[Any] = elements if key == "*" else (key,)
    for place in places:
        if not below:
            yield container, place, f"{prefix}{place}"
            continue
        value = container[place] if isinstance(container, list) else container.get(place)
        if not isinstance(value, dict) and not below.startswith("*"):
            container[place] = value = {}
        yield from _places(value, below, f"{prefix}{place}.")
