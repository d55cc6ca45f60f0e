from pygnc.supervisor.supervisor import PAUSES_S, RESTARTS_MAX, WINDOW_S, RestartBudget


def test_pauses_grow_until_the_budget_is_used_up() -> None:
    budget = RestartBudget()
    assert [budget.pause_s(float(k)) for k in range(RESTARTS_MAX + 1)] == [*PAUSES_S, None]
    assert budget.total == RESTARTS_MAX


def test_old_restarts_are_forgiven() -> None:
    budget = RestartBudget()
    for k in range(RESTARTS_MAX):
        budget.pause_s(float(k))
    assert budget.pause_s(WINDOW_S + 0.5) == PAUSES_S[-1]
    assert budget.pause_s(10 * WINDOW_S) == PAUSES_S[0]
