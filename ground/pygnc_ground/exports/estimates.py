"""Estimates of a replay that messages are made from: those in memory, or those in the folder of a replay."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pygnc.common.clock import MS_PER_WEEK, utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.elements_fit import FittedElements, fit_elements, predicted_day
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.state import LOWER, OrbitState, covariance_rtn
from pygnc_ground.exports.aem import Attitudes
from pygnc_ground.exports.cdm import Approach
from pygnc_ground.exports.orbit_messages import States
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.solution import FloatArray, IntArray, newest_state
from pygnc_ground.replay import folder
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.tables import triangles
from pygnc_ground.report.replay import Replay
from pygnc_ground.tables.declaration import columns
from pygnc_ground.truth import frames
from pygnc_system.files import data_file

STEP_MS: Final = 60_000
"""Time between the states of a message; interpolated with degree 7, they are exact to micrometres."""
_HOUR_MS: Final = 3_600_000
_RATES: Final = ("vx", "vy", "vz")
_ORBITS: Final = ("orbit_smoothed", "orbit_batch", "orbit")
"""Tables of states, the first of which counts: a replay has a smoother, raw measurements have a batch or a filter."""
_TABLES: Final = (*_ORBITS, "attitude_smoothed", "attitude", "formation", "approaches")


@dataclass(frozen=True, eq=False)
class Estimates:
    """Tables of a replay, and the newest state of its orbit filter.

    Attributes:
        tables: Tables by name; docs/replay.md describes them.
        newest: Newest state; None without an orbit.
        orbit: Filter that predicts the state, with the Earth orientation of the tables.
    """

    tables: Mapping[str, pl.DataFrame]
    newest: OrbitState | None
    orbit: OrbitFilter
    _predicted: dict[float, list[OrbitState]] = field(default_factory=dict)
    """Predictions so far, by their length in h"""

    @classmethod
    def of(cls, replay: Replay, orientation: EarthOrientationTable) -> "Estimates":
        """Return those of a replay in memory."""
        newest = newest_state(replay.collected.updates)
        return cls(replay.tables, newest, OrbitFilter(replay.result.settings.orbit, orientation))

    @classmethod
    def read(cls, place: Path, earth_orientation: Path | None = None) -> "Estimates":
        """Return those in a folder to which `pygnc replay` or `pygnc orbit` wrote.

        Raises:
            OSError: A file cannot be read.
            ValueError: The folder is none of a replay, or the Earth orientation is another one.
        """
        stored = folder.read_state(place)
        if earth_orientation is None and stored.earth_orientation == frames.BUNDLED:
            orientation = frames.earth_orientation(stored.gps_ms or 0)
        else:
            orientation = read_earth_orientation(earth_orientation or data_file(EARTH_ORIENTATION_TABLE))
        if orientation.identification != stored.earth_orientation:
            raise ReplayError(
                f"{place}: the replay used the Earth orientation {stored.earth_orientation}, not"
                f" {orientation.identification}; name its table by --earth-orientation"
            )
        found = {name: _table(file) for name in _TABLES if (file := place / f"{name}.parquet").exists()}
        newest, over_days = stored.state, stored.prediction
        if over_days is None:
            return cls(found, newest, OrbitFilter(stored.orbit, orientation))
        return cls(found, newest, OrbitPrediction(over_days.orbit, orientation, newest, over_days.state))

    @property
    def created_gps_ms(self) -> int:
        """Time up to which measurements were used: that of the newest fix, or else of the newest attitude."""
        times = [] if self.newest is None else [self.newest.gps_ms]
        if self.attitudes is not None:
            times.append(int(self.attitudes.gps_ms[-1]))
        return max(times, default=0)

    @cached_property
    def fitted(self) -> FittedElements | None:
        """Mean elements of the newest state; None without one.

        Raises:
            FitError: No mean elements fit the orbit.
        """
        return fit_elements(self.day, self.orbit.frames, self.orbit.settings.spacecraft) if self.day else None

    @cached_property
    def day(self) -> list[OrbitState]:
        """States from the newest one on over a day; empty without one."""
        return [] if self.newest is None else [self.newest, *predicted_day(self.newest, self.orbit.predict)]

    def states(self, *, in_itrf: bool = False, step_ms: int = 0) -> States | None:
        """Return the states of the first of `_ORBITS`, at least `step_ms` apart; None without an orbit.

        States are in GCRF, or in ITRF where the Earth orientation does not reach, because GCRF would be off by 1 km.
        """
        name = next((name for name in _ORBITS if name in self.tables), "orbit")
        table = _known(self.tables.get(name), "cr_r_m2", step_ms)
        if table is None:
            return None
        gps_ms = _gps_ms(table)
        frame = "ITRF" if in_itrf else self.frame(int(gps_ms[0]))
        ending = "gcrf" if frame == "GCRF" else "ecef"
        wanted = [f"{axis}_{ending}_{unit}" for axes, unit in (("xyz", "m"), (_RATES, "mps")) for axis in axes]
        return States(gps_ms, table.select(wanted).to_numpy(), _full(triangles(name, table)), frame)

    def frame(self, gps_ms: int) -> str:
        """Return the frame of states from a time on: GCRF, or ITRF before the Earth orientation begins."""
        begins_ms = self.orbit.frames.orientation.begins_gps_ms
        return "GCRF" if begins_ms is not None and begins_ms <= gps_ms else "ITRF"

    def predicted(self, hours: float, *, in_itrf: bool = False) -> States | None:
        """Return predictions from the newest state on; None without one."""
        if self.newest is None:
            return None
        states = self._predicted.setdefault(hours, [self.newest])
        while states[-1].gps_ms < self.newest.gps_ms + round(_HOUR_MS * hours):
            states.append(self.orbit.predict(states[-1].gps_ms + STEP_MS, states[-1]))
        return self.of_filter(states, in_itrf=in_itrf)

    def of_filter(self, states: list[OrbitState], *, in_itrf: bool = False) -> States:
        """Return states of the filter, of which there is at least one."""
        frame = "ITRF" if in_itrf else self.frame(states[0].gps_ms)
        transform = self.orbit.frames.ecef_state_from_gcrf
        turned = [state.x[:6] if frame == "GCRF" else transform(state.gps_ms) @ state.x[:6] for state in states]
        times = np.array([state.gps_ms for state in states])
        return States(times, np.array(turned), np.array([covariance_rtn(state) for state in states]), frame)

    @cached_property
    def attitudes(self) -> Attitudes | None:
        """Attitudes of smoother or, without one, filter; None without any."""
        found = (_known(self.tables.get(name), "qw_gcrf_from_body") for name in ("attitude_smoothed", "attitude"))
        table = next((table for table in found if table is not None), None)
        if table is None:
            return None
        quaternion, rate, sigma = (
            table.select(form.format(axis) for axis in axes).to_numpy()
            for form, axes in (
                ("q{}_gcrf_from_body", "wxyz"),
                ("{}_rate_body_rad_s", "xyz"),
                ("sigma_{}_body_rad", "xyz"),
            )
        )
        return Attitudes(_gps_ms(table), quaternion, rate, sigma)

    def approaches(self) -> Iterator[Approach | str]:
        """Yield the likeliest encounter of each partner and orbit, or the reason why it cannot be described."""
        table = self.tables.get("approaches")
        state = self.newest
        if table is None or state is None:
            return
        chosen = table.filter(pl.col("encounter") == "likeliest").sort("gps_week", "gps_tow_ms")
        covariances = _full(triangles("approaches", chosen))
        for row, covariance in zip(chosen.iter_rows(named=True), covariances, strict=True):
            gps_ms = row["gps_week"] * MS_PER_WEEK + row["gps_tow_ms"]
            if gps_ms < state.gps_ms:
                yield f"the encounter at {utc_iso_from_gps_ms(gps_ms)} is before the newest state"
                continue
            state = self.orbit.predict(gps_ms, state)
            relative = [
                row[f"closest_{axis}_gcrf_{unit}"] for axes, unit in (("xyz", "m"), (_RATES, "mps")) for axis in axes
            ]
            yield Approach(
                gps_ms=gps_ms,
                partner=row["partner_id"],
                orbit=row["orbit"],
                own=state.x[:6],
                own_covariance=state.covariance[:6, :6],
                relative=np.array(relative),
                relative_covariance=covariance,
                probability=row["probability_encounter"],
                radius_m=row["collision_radius_m"],
            )


def _table(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ReplayError(f"{path}: damaged ({str(error).partition(chr(10))[0]}); repeat the replay") from error
    if missing := set(columns(path.stem)) - set(table.columns):
        raise ReplayError(f"{path}: has no column {min(missing)}; repeat the replay with this version")
    return table


def _known(table: pl.DataFrame | None, column: str, step_ms: int = 0) -> pl.DataFrame | None:
    """Return the rows with a time and a value in a column, in order of time, at least `step_ms` apart.

    Of several rows at one time, the last one counts. None is returned without any.
    """
    if table is None:
        return None
    times = ["gps_week", "gps_tow_ms"]
    # Of all other columns, only the chosen rows are copied.
    named = table.select(*times, column).with_row_index("row").drop_nulls()
    known = named.unique(times, keep="last").sort(times)
    return None if known.is_empty() else table[known["row"][_apart(_gps_ms(known), step_ms)]]


def _gps_ms(table: pl.DataFrame) -> IntArray:
    return (table["gps_week"] * MS_PER_WEEK + table["gps_tow_ms"]).to_numpy()


def _apart(gps_ms: IntArray, step_ms: int) -> list[int]:
    """Return the rows of ascending times that are at least a step apart."""
    rows: list[int] = []
    due_ms = 0
    for row, time_ms in enumerate(gps_ms.tolist()):
        if time_ms >= due_ms:
            rows.append(row)
            due_ms = time_ms + step_ms
    return rows


def _full(lower: FloatArray) -> FloatArray:
    """Return symmetric matrices (n, 6, 6) from lower triangles (n, 21)."""
    full = np.zeros((len(lower), 6, 6))
    full[:, *LOWER] = full[:, LOWER[1], LOWER[0]] = lower
    return full
