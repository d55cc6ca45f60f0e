import logging
from contextlib import ExitStack
from pathlib import Path

import pytest

import pygnc_system
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import ENTRY_POINTS, all_families, family, family_names
from pygnc_system import plugins
from pygnc_system.plugins import PluginError, installed, load, load_as, usable
from tests.other_packages import OtherPackage

GROUP = "pygnc.tests"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_reported", set())


def package(source: str, distribution: str = "other", version: str = "1.0", name: str = "one") -> OtherPackage:
    module = distribution.replace("-", "_") + "_plugin"
    return OtherPackage({GROUP: {name: f"{module}:found"}}, {module: source}, distribution, version)


def test_broken_plug_ins_are_named_and_skipped_and_the_others_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = {
        "good": "found = 'good'",
        "raises": "raise RuntimeError('out of cheese')",
        "exits": "raise SystemExit(7)",
        "lacks": "import nothing_such",
        "lacks-part": "import pygnc_devices.no",
        "empty": "",
        "other-type": "found = 7",
    }
    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        for name, source in sources.items():
            (tmp_path / name).mkdir()
            stack.enter_context(package(source, name, name=name).importable(tmp_path / name))
        assert dict(usable(GROUP, str)) == {"good": "good"}
        assert dict(usable(GROUP, str)) == {"good": "good"}
    assert sorted(record.message for record in caplog.records) == [  # once each
        "pygnc: `empty` of empty 1.0 cannot be loaded: AttributeError: module 'empty_plugin' has no attribute 'found'",
        "pygnc: `exits` of exits 1.0 cannot be loaded: SystemExit: 7",
        "pygnc: `lacks-part` of lacks-part 1.0 cannot be loaded: No module named 'pygnc_devices.no'; install it again",
        "pygnc: `lacks` needs the library nothing_such: pip install nothing_such",
        "pygnc: `other-type` of other-type 1.0 cannot be used: other_type_plugin:found is a int, not a builtins.str",
        "pygnc: `raises` of raises 1.0 cannot be loaded: RuntimeError: out of cheese",
    ]


def test_the_first_of_two_distributions_has_a_name_and_the_other_is_reported(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in ("second", "first"):
            (tmp_path / name).mkdir()
            stack.enter_context(package(f"found = {name!r}", name).importable(tmp_path / name))
        found = installed(GROUP)
        assert load_as(found.entries["one"], str) == "first"
    assert found.clashes == {"one": "`one` of second 1.0 is ignored: `one` of first 1.0 has this name"}


def test_names_of_ours_are_reserved(tmp_path: Path) -> None:
    with package("found = 1").importable(tmp_path):
        found = installed(GROUP, {"one"})
    assert (found.entries, found.clashes) == ({}, {"one": "`one` of other 1.0 is ignored: the name belongs to PyGNC"})


def test_a_distribution_of_ours_in_another_version_is_refused(tmp_path: Path) -> None:
    with package("found = 1", "pygnc-station", "9.9").importable(tmp_path):
        (entry,) = installed(GROUP, {"one"}).entries.values()
        with pytest.raises(
            PluginError, match=f"pygnc-station 9.9 .* pygnc-devices {pygnc_system.__version__}; install"
        ):
            load(entry)


def test_a_broken_family_of_devices_is_named_and_the_others_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = {ENTRY_POINTS: {"rain": "rain_family:FAMILY", "ucb": "rain_family:FAMILY"}}
    before = all_families()
    with OtherPackage(entries, {"rain_family": "FAMILY = None"}).importable(tmp_path), caplog.at_level("WARNING"):
        assert all_families() == before
        assert family_names() == [*(kind.name for kind in before), "rain"]
        with pytest.raises(DeviceError, match=r"rain` of pygnc-other 1\.0 cannot be used: .* is a NoneType"):
            family("rain")
        assert family("ucb") in before
    assert "`ucb` of pygnc-other 1.0 is ignored: the name belongs to PyGNC" in caplog.text
    assert "`rain` of pygnc-other 1.0 cannot be used" in caplog.text
