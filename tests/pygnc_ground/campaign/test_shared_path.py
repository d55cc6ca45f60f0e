import numpy as np
import pytest

from pygnc_ground.campaign.flight import SharedPath
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.settings import Settings, settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory

T_S = np.arange(0.0, 600.0, 60.0)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_from_tables({"duration_s": 600, "forces": {"gravity_degree": 4}}, "test")


def test_states_and_conditions_are_those_of_the_path(settings: Settings) -> None:
    path = Trajectory.of(settings)
    shared = SharedPath(path)
    for t_s in (T_S, T_S + 30.0, T_S):
        np.testing.assert_array_equal(shared.states_gcrf(t_s), path.states_gcrf(t_s))
        np.testing.assert_array_equal(shared.states_itrf(t_s.tolist()), path.states_itrf(t_s))
        for found, expected in zip(shared.conditions(t_s), path.conditions(t_s), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_equal_times_are_computed_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Trajectory.of(settings)
    shared = SharedPath(path)
    calls: list[int] = []
    computed = Trajectory.states_itrf

    def counted(path: Trajectory, t_s: FloatArray) -> FloatArray:
        calls.append(len(t_s))
        return computed(path, t_s)

    monkeypatch.setattr(Trajectory, "states_itrf", counted)
    whole_s = T_S.astype(np.int64)
    for t_s in (T_S, whole_s, T_S):
        shared.states_itrf(t_s)
        shared.conditions(t_s)
    assert calls == [len(T_S)] * 2  # once for the states, once for the conditions
    shared.states_itrf(T_S[:3])
    assert calls[2:] == [3]


def test_a_caller_cannot_change_what_the_next_one_gets(settings: Settings) -> None:
    shared = SharedPath(Trajectory.of(settings))
    states, conditions = shared.states_gcrf(T_S), shared.conditions(T_S)
    expected = states.copy(), conditions.field_gcrf_ut.copy()
    states += 1.0
    conditions.field_gcrf_ut[:] = 0.0
    np.testing.assert_array_equal(shared.states_gcrf(T_S), expected[0])
    np.testing.assert_array_equal(shared.conditions(T_S).field_gcrf_ut, expected[1])
