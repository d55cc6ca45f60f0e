from pathlib import Path

import pytest

from pygnc_system import service_unit as module
from pygnc_system.service_unit import ServiceError, command_line, install, uninstall
from tests.programs import needs

UNITS = {
    "pygnc-a.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    "pygnc-b.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "pygnc-b.timer": "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
}
ENABLED = ["pygnc-a.service", "pygnc-b.timer"]

pytestmark = needs("systemctl")


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "etc/systemd/system").rglob("pygnc-*"))


def test_installs_into_an_image_what_uninstall_removes(tmp_path: Path) -> None:
    own = tmp_path / "etc/systemd/system/pygnc-mine.service"
    own.parent.mkdir(parents=True)
    own.write_text("[Service]\nExecStart=/bin/true\n")
    install("pygnc test", UNITS, ENABLED, tmp_path)
    assert names(tmp_path) == sorted([*UNITS, *ENABLED, own.name])  # and a link for each that starts at boot
    assert (tmp_path / "etc/systemd/system/multi-user.target.wants/pygnc-a.service").is_symlink()
    install("pygnc other", {"pygnc-c.service": UNITS["pygnc-a.service"]}, [], tmp_path)
    uninstall("pygnc test", tmp_path)
    assert names(tmp_path) == ["pygnc-c.service", own.name]


def test_a_second_installation_replaces_the_first(tmp_path: Path) -> None:
    install("pygnc test", UNITS, ENABLED, tmp_path)
    done = install("pygnc test", {"pygnc-a.service": UNITS["pygnc-a.service"]}, ["pygnc-a.service"], tmp_path)
    assert names(tmp_path) == ["pygnc-a.service"] * 2
    assert f"{tmp_path}/etc/systemd/system/pygnc-b.timer removed" in done


def test_names_the_remedy_if_nothing_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match="no units that `pygnc test` has written"):
        uninstall("pygnc test", tmp_path)
    with pytest.raises(ServiceError, match=r"enable pygnc-none.service: .*does not exist"):
        install("pygnc test", {}, ["pygnc-none.service"], tmp_path)

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "durable_write", refuse)
    with pytest.raises(ServiceError, match=r"pygnc-a.service: Permission denied; run this with sudo"):
        install("pygnc test", UNITS, ENABLED, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="systemctl is missing"):
        install("pygnc test", UNITS, ENABLED, tmp_path)


def test_systemd_expands_nothing_in_a_command_line() -> None:
    assert command_line(["/a b", "$HOME", "5%", 'quo"te']) == '"/a b" $$HOME 5%% "quo\\"te"'
