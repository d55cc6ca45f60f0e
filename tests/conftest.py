"""Settings for all tests."""

import gc
import os
import re
import signal
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# As in the commands, before NumPy is imported: BLAS with another number of threads rounds differently.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell starts background jobs with SIGINT ignored, and programs inherit that. Tests that press Ctrl-C need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines differ in speed, so no example has a time limit; each test has one.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without garbage collections, and exclude the million objects that result from those of the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let libraries free their objects at exit."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which CI runs a part of the slow tests."""
    parser.addoption(
        "--slow-part", metavar="K/N", default="0/1", help="Run only part K of N of the slow tests, by file."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let each worker begin with other files, so that it reads what another one has compiled in the meantime."""
    worker = getattr(config, "workerinput", None)
    if worker is not None and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        files = sorted(map(str, Path(__file__).parent.rglob("test_*.py")))
        begin = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        config.args = files[begin:] + files[:begin]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by file, because all workers must have the same order, and let one worker make a file's fixtures.

    Without a group, each worker takes some of the tests of a file and makes the fixtures of the file again.
    """
    items.sort(key=lambda item: item.path)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            fixtures = item._fixtureinfo.name2fixturedefs.values()
            if any(definitions[-1].scope == "module" for definitions in fixtures):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.hookimpl(specname="pytest_collection_modifyitems")
def pytest_collection_select_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the slow tests of the files that are in another part of them."""
    part, count = map(int, config.getoption("--slow-part").split("/"))

    def is_of_other_part(item: pytest.Item) -> bool:
        file = item.path.relative_to(config.rootpath).as_posix()
        return item.get_closest_marker("slow") is not None and zlib.crc32(file.encode()) % count != part

    if others := [item for item in items if is_of_other_part(item)]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if not is_of_other_part(item)]


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_collection_keep_groups(items: list[pytest.Item]) -> None:
    """Let pytest-xdist 3.8 keep the tests of a group on one worker.

    It appends the group to the attribute `_nodeid`, which pytest 9.2 does not read: pytest-xdist's issue 1386.
    """
    for item in items:
        if "_nodeid" in vars(item):
            item._id = item.id.parse(vars(item)["_nodeid"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let `--last-failed` find tests that failed in a group: pytest remembers them with the name of the group."""
    cache = getattr(session.config, "cache", None)
    if cache is not None and not hasattr(session.config, "workerinput"):
        failed = cache.get("cache/lastfailed", {})
        cache.set("cache/lastfailed", {re.sub(r"@[^\[\]]*$", "", nodeid): True for nodeid in failed})
