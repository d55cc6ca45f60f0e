import os
import socket
from pathlib import Path

import pytest

from pygnc_system.service_notifier import ServiceNotifier
from tests.fakes.service_manager import FakeServiceManager


def test_reports_start_state_and_end(tmp_path: Path) -> None:
    with FakeServiceManager(tmp_path) as manager:
        notifier = ServiceNotifier.from_environment(manager.environment())
        notifier.ready()
        notifier.show("two\nlines")
        notifier.show("two\nlines")
        notifier.feed()  # nobody watches
        notifier.stopping()
        while manager.receive(0.1):
            pass
    assert manager.messages == ["READY=1", "STATUS=two lines", "STOPPING=1"]


def test_feeds_four_times_per_timeout_however_often_it_is_called(tmp_path: Path) -> None:
    now_s = 100.0
    with FakeServiceManager(tmp_path) as manager:
        notifier = ServiceNotifier(manager.address, 8.0, lambda: now_s)
        for _ in range(85):
            notifier.feed()
            now_s += 0.1
        while manager.receive(0.1):
            pass
    assert manager.messages == ["WATCHDOG=1"] * 5  # at 0, 2, 4, 6 and 8 of 8.4 s


def test_children_do_not_inherit_the_socket_and_other_processes_are_not_watched(tmp_path: Path) -> None:
    with FakeServiceManager(tmp_path) as manager:
        for pid, fed in ((os.getpid(), True), (os.getpid() + 1, False)):
            environment = manager.environment(1.0) | {"WATCHDOG_PID": str(pid)}
            ServiceNotifier.from_environment(environment).feed()
            assert (manager.receive(0.1) == "WATCHDOG=1") is fed
            assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(environment)


def test_sends_to_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(f"\0pygnc-test-{os.getpid()}")
        ServiceNotifier(f"@pygnc-test-{os.getpid()}").ready()
        assert inbox.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nowhere/notify", "notify"])
def test_works_without_a_service_manager(address: str) -> None:
    notifier = ServiceNotifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "many"})
    notifier.ready()
    notifier.feed()
    notifier.stopping()


def test_never_waits_for_a_service_manager_that_does_not_read(tmp_path: Path) -> None:
    with FakeServiceManager(tmp_path) as manager:
        notifier = ServiceNotifier(manager.address)
        for _ in range(5000):  # more than the socket holds
            notifier.ready()
