"""Alerts are raised and cleared once per change, whatever the values do and however often the server restarts."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from pygnc_station.server.access import new_pin, register, revoke, visit
from pygnc_station.server.alerts import Change, Level, judge_gateway, record
from pygnc_station.server.background import check_alerts
from pygnc_station.server.fleet import Gateway, GatewayState, raised_alerts, store_state
from pygnc_station.server_settings import Alerts, Serve
from pygnc_station.settings import StationSettings
from pygnc_station.settings import Store as StoreSettings
from pygnc_station.station_state import StationState
from pygnc_station.store import schema
from pygnc_station.store.store import Store

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
LIMITS = Alerts(silent_min=60, backlog_readings=1000, clock_offset_s=10, disk_free_bytes=1000, storage_percent=0)


def gateway(**changes: Any) -> Gateway:  # noqa: ANN401 - any attribute
    known: dict[str, Any] = {"id": 1, "name": "roof", "state": GatewayState.FINE, "registered_ms": NOW_MS}
    known |= {"last_seen_ms": NOW_MS, "refused_ms": None, "lost_ms": None, "reported_ms": NOW_MS, "version": "1"}
    known |= {
        "uptime_s": 1.0,
        "clock_offset_s": 0.0,
        "backlog_readings": 0,
        "backlog_batches": 0,
        "rejected_batches": 0,
    }
    known |= {"disk_free_bytes": 10_000, "disk_total_bytes": 20_000, "alerts": [], "gadgets": []}
    return Gateway(**(known | changes))


def levels(one: Gateway, served_since_ms: int = 0) -> dict[str, Level]:
    return {verdict.alert: verdict.level for verdict in judge_gateway(one, NOW_MS, LIMITS, served_since_ms)}


@pytest.mark.parametrize(
    ("alert", "attribute", "bad", "between", "good"),
    [
        ("silent", "last_seen_ms", NOW_MS - 61 * MINUTE_MS, NOW_MS - 59 * MINUTE_MS, NOW_MS - 29 * MINUTE_MS),
        ("backlog", "backlog_readings", 1001, 999, 499),
        ("clock", "clock_offset_s", -10.1, 9.9, -4.9),
        ("disk", "disk_free_bytes", 999, 1001, 1250),
    ],
)
def test_an_alert_is_cleared_well_inside_its_limit(
    alert: str, attribute: str, bad: float, between: float, good: float
) -> None:
    found = [levels(gateway(**{attribute: value}))[alert] for value in (bad, between, good)]
    assert found == [Level.RAISE, Level.LEAVE, Level.CLEAR]


def test_what_a_gateway_does_not_report_changes_nothing() -> None:
    unknown = gateway(backlog_readings=None, clock_offset_s=None, disk_free_bytes=None)
    assert {alert for alert, level in levels(unknown).items() if level is Level.LEAVE} == {"backlog", "clock", "disk"}


def test_gateways_are_not_silent_because_the_server_was_down() -> None:
    quiet = gateway(last_seen_ms=NOW_MS - 600 * MINUTE_MS)
    assert levels(quiet, NOW_MS - 59 * MINUTE_MS)["silent"] is Level.LEAVE
    assert levels(quiet, NOW_MS - 61 * MINUTE_MS)["silent"] is Level.RAISE


def test_a_request_under_a_clock_set_ahead_hides_no_silence_and_keeps_no_alert() -> None:
    ahead_ms = NOW_MS + 365 * 24 * 60 * MINUTE_MS
    seen = gateway(last_seen_ms=ahead_ms, lost_ms=ahead_ms)
    assert levels(seen, NOW_MS - 59 * MINUTE_MS)["silent"] is Level.LEAVE  # the clock was set back then
    assert levels(seen, NOW_MS - 61 * MINUTE_MS)["silent"] is Level.RAISE
    assert levels(seen)["restored"] is Level.CLEAR
    revoked = gateway(state=GatewayState.REVOKED, refused_ms=ahead_ms)
    assert levels(revoked)["revoked"] is Level.CLEAR


def test_a_revoked_key_that_is_used_raises_the_only_alert_of_its_gateway() -> None:
    def knocked(minutes_ago: float | None) -> dict[str, Level]:
        refused_ms = None if minutes_ago is None else NOW_MS - int(minutes_ago * MINUTE_MS)
        state = {"state": GatewayState.REVOKED, "refused_ms": refused_ms, "disk_free_bytes": 0, "last_seen_ms": 0}
        return levels(gateway(**state))

    assert [knocked(age)["revoked"] for age in (1, 61, 24 * 60, None)] == [
        Level.RAISE, Level.LEAVE, Level.CLEAR, Level.CLEAR
    ]  # fmt: skip
    assert {level for alert, level in knocked(1).items() if alert != "revoked"} == {Level.CLEAR}


def test_a_limit_of_zero_disables_its_alert() -> None:
    off = Alerts(silent_min=0, backlog_readings=0, clock_offset_s=0, disk_free_bytes=0)
    bad = gateway(last_seen_ms=0, backlog_readings=10**9, clock_offset_s=1e6, disk_free_bytes=0)
    assert {verdict.level for verdict in judge_gateway(bad, NOW_MS, off)} == {Level.CLEAR}


class Server:
    """Server with one gateway; each check may be that of a new process."""

    def __init__(self, folder: Path, **alerts: Any) -> None:  # noqa: ANN401 - any setting
        self.folder = folder
        self.settings = StationSettings(name="central", serve=Serve(alerts=msgspec.structs.replace(LIMITS, **alerts)))
        with self.open() as store:
            self.key = register(store, new_pin(store, NOW_MS, 5), "0", "roof", NOW_MS) or ""

    def open(self) -> Store:
        return Store.open(str(self.folder / "central.db"))

    def report(self, now_ms: int, **state: Any) -> None:  # noqa: ANN401 - any attribute
        known = {"time_ms": now_ms, "backlog_readings": 0, "disk_free_bytes": 10**12}
        with self.open() as store:
            found = visit(store, self.key, now_ms)
            if found is not None:
                with store.writes() as connection:
                    store_state(connection, found, StationState(**(known | state)), now_ms)

    def check(self, now_ms: int) -> list[tuple[str, str]]:
        """Check once, in a new process as far as the store can tell; return the new notices as title and text."""
        with self.open() as store:
            before = self.notices(store)
            check_alerts(store, self.settings, ["mail"], self.folder, now_ms)
            return self.notices(store)[len(before) :]

    def notices(self, store: Store) -> list[tuple[str, str]]:
        n = schema.notices.c
        with store.reads() as connection:
            rows = connection.execute(select(n.title, n.text).order_by(n.id))
            return [(row.title, row.text) for row in rows]

    def raised(self) -> set[str]:
        with self.open() as store, store.reads() as connection:
            return {alert.name for alerts in raised_alerts(connection).values() for alert in alerts}


def test_each_change_is_noticed_once_although_the_server_restarts(tmp_path: Path) -> None:
    there = Server(tmp_path)
    there.report(NOW_MS, backlog_readings=5000, backlog_batches=2, time_ms=NOW_MS + 60_000)
    assert there.check(NOW_MS) == [
        ("roof: backlog raised", "5000 readings are not uploaded (limit 1000), and 2 batches wait"),
        ("roof: clock raised", "differs from the server's by 60.0 s (limit 10 s)"),
    ]
    assert there.check(NOW_MS + MINUTE_MS) == []
    there.report(NOW_MS + 10 * MINUTE_MS, backlog_readings=800)
    assert there.check(NOW_MS + 10 * MINUTE_MS) == [("roof: clock cleared", "after 10 min")]
    assert there.raised() == {"backlog"}
    there.report(NOW_MS + 20 * MINUTE_MS, backlog_readings=3)
    assert there.check(NOW_MS + 20 * MINUTE_MS) == [("roof: backlog cleared", "after 20 min")]
    for minute in range(21, 80, 4):  # without a check for longer, the server would not know whether it was down
        assert there.check(NOW_MS + minute * MINUTE_MS) == []
    ((title, text),) = there.check(NOW_MS + 81 * MINUTE_MS)
    assert title == "roof: silent raised"
    assert text.startswith("no request since 2026-09-21T")
    there.report(NOW_MS + 90 * MINUTE_MS)
    assert there.check(NOW_MS + 90 * MINUTE_MS) == [("roof: silent cleared", "after 9 min")]


def test_a_server_that_was_down_waits_before_it_calls_gateways_silent(tmp_path: Path) -> None:
    there = Server(tmp_path)
    there.check(NOW_MS)
    down_ms = NOW_MS + 10 * 60 * MINUTE_MS
    assert [there.check(down_ms + minute * MINUTE_MS) for minute in range(0, 60, 10)] == [[]] * 6
    assert [title for title, _ in there.check(down_ms + 61 * MINUTE_MS)] == ["roof: silent raised"]


def test_a_revoked_key_that_is_used_is_noticed_until_it_is_renewed(tmp_path: Path) -> None:
    there = Server(tmp_path)
    there.report(NOW_MS, disk_free_bytes=1)
    assert [title for title, _ in there.check(NOW_MS)] == ["roof: disk raised"]
    with there.open() as store:
        revoke(store, "roof", NOW_MS)
    assert [title for title, _ in there.check(NOW_MS)] == ["roof: disk cleared"]
    there.report(NOW_MS + MINUTE_MS)
    assert [title for title, _ in there.check(NOW_MS + MINUTE_MS)] == ["roof: revoked raised"]
    with there.open() as store:
        there.key = register(store, new_pin(store, NOW_MS, 5, "roof"), "0", "roof", NOW_MS) or ""
    assert next(title for title, _ in there.check(NOW_MS + 2 * MINUTE_MS)) == "roof: revoked cleared"


def test_the_disk_of_the_server_raises_an_alert_of_its_own(tmp_path: Path) -> None:
    there = Server(tmp_path, server_disk_free_bytes=1 << 60)
    ((title, text),) = there.check(NOW_MS)
    assert title == "central: disk raised"
    assert "MB free" in text
    assert there.check(NOW_MS) == []


def test_a_server_whose_disk_or_limit_is_used_to_80_percent_raises_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Server(tmp_path, storage_percent=80)
    there.settings = msgspec.structs.replace(there.settings, store=StoreSettings(str(tmp_path / "central.db")))
    usage = type(shutil.disk_usage(tmp_path))
    notices = []
    for percent in (81, 79, 75):
        usage_then = usage(10**12, percent * 10**10, (100 - percent) * 10**10)
        monkeypatch.setattr("shutil.disk_usage", lambda _, then=usage_then: then)
        notices += there.check(NOW_MS)
    assert [title for title, _ in notices] == ["central: storage raised", "central: storage cleared"]
    assert notices[0][1] == f"the disk of {tmp_path} is used to 81 % (limit 80 %)"
    with there.open() as store:
        limited = StoreSettings(str(tmp_path / "central.db"), max_bytes=store.used_bytes())
    there.settings = msgspec.structs.replace(there.settings, store=limited)
    assert there.check(NOW_MS)[0][1] == "max_bytes in [store] is used to 100 % (limit 80 %)"


def test_two_servers_of_one_database_notice_a_change_once(tmp_path: Path) -> None:
    there = Server(tmp_path)
    change = Change(1, "roof", "disk", True, "full")  # noqa: FBT003 - is_raised
    with there.open() as one, there.open() as two:
        assert record(one, change, ["mail", "chat"], NOW_MS)
        assert not record(two, change, ["mail", "chat"], NOW_MS)
        cleared = change._replace(is_raised=False)
        assert record(two, cleared, ["mail"], NOW_MS)
        assert not record(one, cleared, ["mail"], NOW_MS)
        assert len(there.notices(one)) == 3


@given(st.lists(st.integers(0, 3000), max_size=60))
def test_a_value_between_half_the_limit_and_the_limit_changes_no_alert(values: list[int]) -> None:
    is_raised, changed = False, 0
    for value in values:
        level = levels(gateway(backlog_readings=value))["backlog"]
        wanted = {Level.RAISE: True, Level.CLEAR: False, Level.LEAVE: is_raised}[level]
        changed += wanted != is_raised
        is_raised = wanted
    # An independent count: runs of values beyond the limits, the ones between left out, from "cleared".
    sides = [False, *(value > 1000 for value in values if value > 1000 or value < 500)]
    assert changed == sum(one != two for one, two in pairwise(sides))


def test_the_time_of_a_gateway_that_was_never_seen_begins_with_its_registration(tmp_path: Path) -> None:
    there = Server(tmp_path)
    with there.open() as store, store.writes() as connection:
        connection.execute(update(schema.gateways).values(created_ms=NOW_MS - 100 * MINUTE_MS))
    for minute in range(0, 60, 5):
        assert there.check(NOW_MS + minute * MINUTE_MS) == []
    assert [title for title, _ in there.check(NOW_MS + 61 * MINUTE_MS)] == ["roof: silent raised"]
