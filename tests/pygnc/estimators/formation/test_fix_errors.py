"""Correlated errors of receivers: whitening against a dense factorisation, and the choice of a model."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.formation.fix_errors import WHITE_ERRORS, FixErrors, FixRows, whitened_squares
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.error_models import ErrorModel
from tests.pygnc.estimators.formation.simulated import Instruments
from tests.pygnc.estimators.formation.worlds import MESH_ALL, errors, given, world

TIMES_S = np.array((0.0, 60.0, 120.0, 480.0, 540.0))
MODEL = ErrorModel(0.8, 0.1, 600.0)
RECEIVERS = 2


@pytest.mark.parametrize("common", [0.0, 0.9])
def test_whitening_is_that_of_the_dense_covariance(common: float) -> None:
    draw = np.random.default_rng(1)
    used = draw.random((len(TIMES_S), 2, RECEIVERS)) < 0.8
    values = draw.standard_normal((len(TIMES_S), 2, RECEIVERS, 3, 4)) * used[..., None, None]
    blocks = [FixRows(TIMES_S[part], values[part], used[part]) for part in (slice(0, 2), slice(2, 5))]
    found, log_determinant = whitened_squares(blocks, (FixErrors(MODEL, common), WHITE_ERRORS))
    in_time = np.exp(-np.abs(TIMES_S[:, None] - TIMES_S) / MODEL.time_s)
    of_receivers = common + (1.0 - common) * np.eye(RECEIVERS)
    squares, expected = np.zeros((4, 4)), 0.0
    for kind, share in enumerate((MODEL.position_share, MODEL.velocity_share)):
        covariance = share * np.kron(in_time, of_receivers) + (1.0 - share) * np.eye(RECEIVERS * len(TIMES_S))
        chosen = used[:, kind].reshape(-1)
        covariance = covariance[np.ix_(chosen, chosen)]
        expected += 3.0 * float(np.linalg.slogdet(covariance)[1])
        for axis in range(3):
            rows = values[:, kind, :, axis].reshape(-1, 4)[chosen]
            squares += rows.T @ np.linalg.solve(covariance, rows)
    assert found[0] == pytest.approx(squares, rel=1e-9, abs=1e-9)
    assert log_determinant == pytest.approx((expected, 0.0), abs=1e-9)


def test_inflated_white_errors_average_as_correlated_ones() -> None:
    count, step_s = 1_000, 60.0
    lags = np.abs(np.arange(count)[:, None] - np.arange(count)) * step_s
    for share, factor in zip((0.8, 0.1), FixErrors(MODEL).inflation(step_s), strict=True):
        covariance = share * np.exp(-lags / MODEL.time_s) + (1.0 - share) * np.eye(count)
        assert factor**2 == pytest.approx(covariance.mean() * count, rel=0.02)


@pytest.mark.parametrize(("common", "sigma_max_m"), [(0.0, 7.0), (0.9, 4.0)])
def test_correlated_errors_are_recognised_and_common_ones_cancel(common: float, sigma_max_m: float) -> None:
    true = world(2, satellites=3)
    receivers = replace(MESH_ALL, fix_noise=(3.0, 0.01), fix_correlated=(5.0, 0.003), fix_common=common)
    solution = given(true, receivers).solved(FormationSettings())
    assert solution.equations.errors.model.position_share >= 0.5
    assert solution.equations.errors.common == common
    for partner in true.ids[1:]:
        found = errors(solution, true, partner)
        assert found.nees < 2.0 * 6.0
        assert found.sigma_m < sigma_max_m


def test_white_errors_remain_white() -> None:
    white = Instruments("star", 10.0, mesh=False, fixed=3)
    assert given(world(2, satellites=3), white).solved().equations.errors == WHITE_ERRORS
