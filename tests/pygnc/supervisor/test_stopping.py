from pygnc.supervisor import supervisor
from pygnc.supervisor.supervisor import StopPlan


def test_the_limits_leave_a_second_before_the_power_goes() -> None:
    assert supervisor.DRAIN_END_S < supervisor.WRITE_END_S <= supervisor.TERMINATE_AT_S < supervisor.KILL_AT_S
    assert supervisor.KILL_AT_S < supervisor.HARD_EXIT_AT_S < 10.0


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
