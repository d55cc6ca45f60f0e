"""Groups of tests that share what is expensive to make."""

import os

import pytest


@pytest.mark.xdist_group("grouped")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="no workers: make test")
def test_pytest_xdist_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    """Without it, each worker makes the fixtures of the group again."""
    assert request.node.nodeid.endswith("@grouped")
