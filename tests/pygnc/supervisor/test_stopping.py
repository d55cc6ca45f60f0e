from pygnc.supervisor import stopping
from pygnc.supervisor.stopping import StopPlan


def test_the_limits_leave_a_second_before_the_power_goes() -> None:
    assert stopping.DRAIN_END_S < stopping.WRITE_END_S <= stopping.TERMINATE_AT_S < stopping.KILL_AT_S
    assert stopping.KILL_AT_S < stopping.HARD_EXIT_AT_S < 10.0


def test_signals_fall_due_in_order() -> None:
    plan = StopPlan("test", 100.0)
    assert not plan.must_terminate(105.9)
    assert plan.must_terminate(106.0)
    assert not plan.must_kill(107.4)
    assert plan.must_kill(107.5)


def test_a_second_request_goes_straight_to_sigterm() -> None:
    plan = StopPlan("test", 100.0)
    plan.hurry(100.2)
    assert plan.must_terminate(100.2)
    plan.hurry(103.0)
    assert plan.must_kill(101.7)
