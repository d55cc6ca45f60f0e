"""The fits of all arcs as one table of states."""

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc_ground.orbit.batch.fit import ArcFit
from pygnc_ground.orbit.solution import IntArray, OrbitSolution


class OrbitTable:
    """A solution that is filled arc by arc.

    Attributes:
        solution: NaN, and not accepted, where no arc has filled it.
    """

    def __init__(self, times_gps_ms: IntArray, frames: EarthFrames) -> None:
        count = len(times_gps_ms)
        self._frames = frames
        self.solution = OrbitSolution(
            gps_ms=times_gps_ms,
            position_ecef_m=np.full((count, 3), np.nan),
            velocity_ecef_mps=np.full((count, 3), np.nan),
            position_gcrf_m=np.full((count, 3), np.nan),
            velocity_gcrf_mps=np.full((count, 3), np.nan),
            covariance_ecef=np.full((count, 6, 6), np.nan),
            nis=np.full(count, np.nan),
            dof=np.zeros(count, dtype=np.int64),
            accepted=np.zeros(count, dtype=bool),
        )

    def fill(self, rows: IntArray, fit: ArcFit) -> None:
        """States and fixes of an arc into the rows (n,) that it answers for."""
        table = self.solution
        gps_ms = table.gps_ms[rows]
        gcrf, covariance = fit.states(gps_ms)
        to_ecef = np.array([self._frames.ecef_state_from_gcrf(ms) for ms in gps_ms.tolist()]).reshape(-1, 6, 6)
        ecef = np.einsum("nij,nj->ni", to_ecef, gcrf)
        table.position_gcrf_m[rows], table.velocity_gcrf_mps[rows] = gcrf[:, :3], gcrf[:, 3:]
        table.position_ecef_m[rows], table.velocity_ecef_mps[rows] = ecef[:, :3], ecef[:, 3:]
        table.covariance_ecef[rows] = to_ecef @ covariance @ to_ecef.transpose(0, 2, 1)
        self._book(rows, fit)

    def _book(self, rows: IntArray, fit: ArcFit) -> None:
        """What became of each fix, in the first row of its time that no other fix has taken."""
        table = self.solution
        free: dict[int, list[int]] = {}
        for row in rows[::-1].tolist():
            free.setdefault(int(table.gps_ms[row]), []).append(row)
        row_of_fix = [free[ms].pop() if free.get(ms) else -1 for ms in fit.positions.observations.gps_ms.tolist()]
        for judged in (fit.positions, fit.velocities):
            row = np.array(row_of_fix, dtype=np.int64)[judged.observations.fix]
            booked = judged.accepted & (row >= 0)
            taken = row[booked]
            table.nis[taken] = np.nan_to_num(table.nis[taken]) + judged.chi_square[booked]
            table.dof[taken] += 3
            table.accepted[taken] = True
