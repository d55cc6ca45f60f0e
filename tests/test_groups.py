"""Groups of tests that share what is expensive to make."""

import os

import pytest

pytestmark = pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="no workers: make test")


@pytest.fixture(scope="module")
def number() -> int:
    return 1


@pytest.mark.xdist_group("grouped")
def test_pytest_xdist_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    """Without it, each worker makes the fixtures of the group again."""
    assert request.node.nodeid.endswith("@grouped")


def test_tests_that_share_a_fixture_of_their_file_are_a_group(number: int, request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith(f"@{__name__}"), number


def test_a_test_without_such_a_fixture_is_alone(request: pytest.FixtureRequest) -> None:
    assert "@" not in request.node.nodeid
