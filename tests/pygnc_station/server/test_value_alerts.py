"""Alerts on values are raised and cleared once, whatever arrives late, twice, or under a wrong clock."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from pygnc_station.errors import StationError
from pygnc_station.server import destinations
from pygnc_station.server.background import check_alerts
from pygnc_station.server.destinations import Destination, deliver
from pygnc_station.server.fleet import SERVER, raised_alerts
from pygnc_station.server.value_alerts import put_rule, unused_rules
from pygnc_station.server.value_rules import Progress, Sample, judge, quiet_until_ms
from pygnc_station.server_settings import Alerts, Serve, ValueRule
from pygnc_station.settings import StationSettings, settings_of
from pygnc_station.store import schema
from pygnc_station.store.readings import Column, Layout, NewReading, Quality
from pygnc_station.store.store import Store

NOW_MS = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC
MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60
PM = Layout("histogram", (Column("pm_2_5_ug_m3", "µg/m³"), Column("humidity_percent", "%")))
SMOG = ValueRule(["pm_2_5_ug_m3"], above=25.0, for_min=10, clear=20.0, corrected=False)
LOW_CELL = ValueRule(["cell_*_voltage_v"], below=2.8, for_min=0)
IMBALANCE = ValueRule(["cell_*_voltage_v"], above=0.1, of="spread", for_min=0)


def cells(first: int) -> Layout:
    return Layout(
        f"BV2 cells {first}-{first + 1}", tuple(Column(f"cell_{n}_voltage_v", "V") for n in (first, first + 1))
    )


class Server:
    """Server whose clock is a number; each check may be that of a new process."""

    def __init__(self, folder: Path, rules: dict[str, ValueRule], where: str = "", **alerts: Any) -> None:  # noqa: ANN401 - any setting
        self.folder = folder
        self.where = where or str(folder / "central.db")
        limits = Alerts(silent_min=0, server_disk_free_bytes=0, storage_percent=0, rules=rules, **alerts)
        self.settings = StationSettings(name="central", serve=Serve(alerts=limits))
        with self.open():
            pass

    def open(self) -> Store:
        return Store.open(self.where)

    def receive(
        self, minutes: Sequence[float], *values: float, layout: Layout = PM, gadget: str = "OPC_7", quality: int = 0
    ) -> None:
        """Store readings of some minutes after NOW_MS."""
        content = json.dumps([*values, *[0.0] * (len(layout.columns) - len(values))])
        rows = [NewReading(NOW_MS + int(minute * MINUTE_MS), quality, 0, "", content, None) for minute in minutes]
        with self.open() as store:
            store.append(store.stream(gadget, layout), rows)

    def check(self, minute: float) -> list[str]:
        """Check once, in a new process as far as the store can tell; return the titles of new notices."""
        with self.open() as store:
            before = self.notices(store)
            check_alerts(store, self.settings, ["mail"], self.folder, NOW_MS + int(minute * MINUTE_MS))
            after = self.notices(store)
        return [title for id_, title in after.items() if id_ not in before]

    def notices(self, store: Store) -> dict[int, str]:
        n = schema.notices.c
        with store.reads() as connection:
            return {row.id: row.title for row in connection.execute(select(n.id, n.title).order_by(n.id))}

    def texts(self) -> list[str]:
        with self.open() as store, store.reads() as connection:
            return list(connection.execute(select(schema.notices.c.text).order_by(schema.notices.c.id)).scalars())

    def raised(self) -> set[str]:
        with self.open() as store, store.reads() as connection:
            return {alert.name for alerts in raised_alerts(connection).values() for alert in alerts}


def test_a_limit_exceeded_for_so_long_is_noticed_once_and_cleared_with_hysteresis(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(10), 30.0)
    assert there.check(9) == []
    there.receive(range(10, 12), 31.0)
    assert there.check(11) == ["OPC_7: smog raised"]
    assert there.texts() == ["pm_2_5_ug_m3 is 31 µg/m³, above 25 µg/m³ since 2026-09-21T14:13:20.000Z"]
    assert there.raised() == {"smog (OPC_7)"}
    there.receive(range(12, 40), 22.0)  # between the limit and the level of clearing
    assert there.check(40) == []
    there.receive(range(40, 50), 19.0)
    assert there.check(49) == []
    there.receive([50], 19.0)
    assert there.check(50) == ["OPC_7: smog cleared"]
    assert there.raised() == set()
    assert there.check(51) == []


def test_a_short_excess_raises_nothing(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    for begin in range(0, 100, 10):
        there.receive([begin + rank for rank in range(9)], 40.0)
        there.receive([begin + 9], 10.0)
    assert there.check(100) == []


def test_an_excess_within_a_batch_is_noticed_with_its_end(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(30), 30.0)
    there.receive(range(30, 60), 5.0)
    assert there.check(60) == ["OPC_7: smog raised", "OPC_7: smog cleared"]
    assert there.check(61) == []


def test_a_day_of_old_readings_raises_one_alert_at_most(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    for hour in range(24):  # it is exceeded in each hour for half an hour
        there.receive([60 * hour + rank for rank in range(30)], 80.0)
        there.receive([60 * hour + 30 + rank for rank in range(30)], 5.0)
    assert there.check(DAY_MINUTES + 200) == []  # all of it is older than max_age_min
    other = Server(tmp_path, {"smog": SMOG}, str(tmp_path / "other.db"))
    other.receive(range(DAY_MINUTES), 80.0)
    assert other.check(DAY_MINUTES) == ["OPC_7: smog raised"]
    assert other.check(DAY_MINUTES + 1) == []


def test_readings_before_the_judged_ones_change_nothing(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(60, 90), 5.0)
    assert there.check(90) == []
    there.receive(range(59), 80.0)
    assert there.check(91) == []
    assert there.raised() == set()


@pytest.mark.parametrize("years", [1, -1])
def test_a_wrong_clock_of_the_server_raises_nothing_and_heals(tmp_path: Path, years: int) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(20), 30.0)
    assert there.check(years * 365 * DAY_MINUTES) == []
    assert there.check(20) == ["OPC_7: smog raised"]


def test_readings_under_a_wrong_clock_are_not_judged(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(20), 90.0, quality=int(Quality.CLOCK))
    there.receive([rank + 365 * DAY_MINUTES for rank in range(20)], 90.0, quality=int(Quality.FUTURE))
    there.receive([rank + 365 * DAY_MINUTES for rank in range(20)], 90.0)
    assert there.check(20) == []
    there.receive(range(21, 41), 30.0)
    assert there.check(41) == ["OPC_7: smog raised"]


def test_progress_under_a_clock_set_ahead_does_not_stop_the_rule(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    year = 365 * DAY_MINUTES
    there.receive([year + rank for rank in range(20)], 5.0)
    assert there.check(year + 20) == []  # clocks of the station and the server are a year ahead
    there.receive(range(20), 30.0)
    assert there.check(20) == ["OPC_7: smog raised"]


def test_cells_of_several_readings_are_judged_together(tmp_path: Path) -> None:
    there = Server(tmp_path, {"low cell": LOW_CELL, "imbalance": IMBALANCE})
    for minute in range(5):
        there.receive([minute], 3.30, 3.31, layout=cells(1), gadget="pack")
        there.receive([minute + 0.01], 3.28, 3.30, layout=cells(3), gadget="pack")
    assert there.check(5) == []
    there.receive([6], 3.30, 3.31, layout=cells(1), gadget="pack")
    there.receive([6.01], 3.17, 3.30, layout=cells(3), gadget="pack")
    assert there.check(6.5) == ["pack: imbalance raised"]
    assert there.texts()[0].startswith(
        "the difference between cell_2_voltage_v and cell_3_voltage_v is 0.14 V, above 0.1 V since"
    )
    there.receive([7], 2.79, 2.9, layout=cells(1), gadget="pack")
    assert there.check(7.5) == ["pack: low cell raised"]
    there.receive([8.01], 3.25, 3.3, layout=cells(3), gadget="pack")
    assert there.check(8.5) == []  # the low cell is remembered
    there.receive([9], 3.3, 3.3, layout=cells(1), gadget="pack")
    assert there.check(9.5) == ["pack: low cell cleared", "pack: imbalance cleared"]


def test_rules_concern_the_gadgets_that_they_name(tmp_path: Path) -> None:
    rule = ValueRule(["PM_2?5*"], above=25, for_min=0, gadgets=["roof*", "opc_7"], corrected=False)
    there = Server(tmp_path, {"smog": rule})
    for gadget in ("OPC_7", "Roof 1", "cellar"):
        there.receive([0], 30.0, gadget=gadget)
    assert sorted(there.check(1)) == ["OPC_7: smog raised", "Roof 1: smog raised"]


def test_corrected_values_are_those_of_the_page(tmp_path: Path) -> None:
    rules = {name: ValueRule(["pm_2_5*"], above=25, for_min=0, corrected=name == "dry") for name in ("dry", "wet")}
    there = Server(tmp_path, rules)
    there.receive([0], 30.0, 50.0)  # 30 / 1.3 = 23.1 without the water at 50 %
    assert there.check(1) == ["OPC_7: wet raised"]


def test_a_gap_starts_the_time_anew(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive([0, 125], 30.0)
    assert there.check(126) == []
    there.receive([135], 30.0)
    assert there.check(136) == ["OPC_7: smog raised"]


def test_two_servers_of_one_database_notice_a_change_once(tmp_path: Path, url: str) -> None:
    there = Server(tmp_path, {"smog": SMOG}, url)
    there.receive(range(20), 30.0)
    with there.open() as one, there.open() as other:
        for store in (one, other):
            check_alerts(store, there.settings, ["mail"], tmp_path, NOW_MS + 20 * MINUTE_MS)
        assert list(there.notices(one).values()) == ["OPC_7: smog raised"]


def test_quiet_hours_hold_notices_and_drop_those_that_are_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Destination, "__init__", lambda *_: None)
    monkeypatch.setattr(Destination, "send", lambda *told: sent.append(told[2]))
    urgent = ValueRule(["cell_*_voltage_v"], below=2.8, for_min=0, urgent=True)
    night = Server(tmp_path, {"smog": SMOG, "low": urgent}, quiet="14:00-17:00", zone="UTC")

    def send(minute: float) -> list[str]:
        sent.clear()
        with night.open() as store:
            deliver(store, {"mail": Destination("mail", "")}, "central", NOW_MS + int(minute * MINUTE_MS))
        return sent

    night.receive(range(20), 30.0)
    night.receive([20], 2.5, 3.0, layout=cells(1), gadget="pack")
    night.receive(range(20), 30.0, gadget="OPC_8")
    assert len(night.check(21)) == 3
    assert night.raised() == {"smog (OPC_7)", "smog (OPC_8)", "low (pack)"}
    (urgent_text,) = send(21)
    assert urgent_text.startswith("pack: low raised")
    night.receive(range(21, 40), 5.0, gadget="OPC_8")
    assert night.check(40) == []  # its notice was held, and is not sent at all
    assert send(166) == []
    (text,) = send(167)  # 17:00:20
    assert text.startswith("OPC_7: smog raised")
    assert "OPC_8" not in text
    assert send(168) == []


def test_the_end_of_quiet_hours_under_a_clock_set_ahead_does_not_hold_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Destination, "__init__", lambda *_: None)
    monkeypatch.setattr(Destination, "send", lambda *told: sent.append(told[1]))
    there = Server(tmp_path, {"smog": SMOG}, quiet="00:00-23:59", zone="UTC")
    ahead = 10 * DAY_MINUTES
    there.receive([ahead + rank for rank in range(20)], 30.0)
    assert there.check(ahead + 20) == ["OPC_7: smog raised"]
    with there.open() as store:
        deliver(store, {"mail": destinations.Destination("mail", "")}, "central", NOW_MS)
    assert len(sent) == 1


def test_ends_of_quiet_hours() -> None:
    zone = ZoneInfo("Europe/Dublin")
    night = Alerts(quiet="22:00-07:00", zone="Europe/Dublin")

    def end(month: int, day: int, hour: int, minute: int) -> str:
        moment = datetime(2026, month, day, hour, minute, tzinfo=zone)
        found = quiet_until_ms(night, int(moment.timestamp() * 1000))
        return datetime.fromtimestamp(found / 1000, zone).isoformat() if found else ""

    assert end(10, 24, 21, 59) == ""
    assert end(10, 24, 22, 0) == "2026-10-25T07:00:00+00:00"  # summer time ends in this night
    assert end(10, 25, 6, 59) == "2026-10-25T07:00:00+00:00"
    assert end(10, 25, 7, 0) == ""
    noon = Alerts(quiet="12:00-13:00", zone="UTC")
    at_noon_ms = int(datetime(2026, 9, 21, 12, 30, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
    assert quiet_until_ms(noon, at_noon_ms) == at_noon_ms + 30 * MINUTE_MS
    assert quiet_until_ms(Alerts(), at_noon_ms) == 0
    local = quiet_until_ms(Alerts(quiet="00:00-23:59"), at_noon_ms)
    assert timedelta(0) < timedelta(milliseconds=local - at_noon_ms) < timedelta(days=1)


def test_rules_of_the_store_are_beside_those_of_the_settings_file(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(20), 30.0)
    there.check(20)
    with there.open() as store, store.writes() as connection:
        put_rule(connection, there.settings.serve.alerts, "haze", ValueRule(["pm_2_5*"], above=10, corrected=False))
        with pytest.raises(StationError, match="rule 'smog' is in the settings file of the server; change it there"):
            put_rule(connection, there.settings.serve.alerts, "smog", SMOG)
        with pytest.raises(StationError, match="no rule has the name 'dust'"):
            put_rule(connection, there.settings.serve.alerts, "dust", None)
        with pytest.raises(StationError, match="the name 'a/b' of a rule is invalid; use up to 40 letters"):
            put_rule(connection, there.settings.serve.alerts, "a/b", SMOG)
    assert there.check(21) == ["OPC_7: haze raised"]  # the newest readings are judged by the new rule
    with there.open() as store, store.writes() as connection:
        put_rule(connection, there.settings.serve.alerts, "haze", None)
    assert there.check(22) == ["OPC_7: haze cleared"]
    assert there.raised() == {"smog (OPC_7)"}


def test_alerts_are_those_of_the_gateway_that_owns_the_gadget(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG})
    there.receive(range(20), 30.0)
    there.check(20)
    with there.open() as store, store.reads() as connection:
        assert [alert.name for alert in raised_alerts(connection)[SERVER]] == ["smog (OPC_7)"]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"values": ["a"]}, "a rule needs either above or below; set one of them"),
        ({"values": ["a"], "above": 1.0, "below": 0.0}, "a rule needs either above or below; set one of them"),
        ({"values": ["a"], "above": 0.0}, "a limit of 0 has no level 5 % inside it; set clear"),
        ({"values": ["a"], "above": 5.0, "clear": 6.0}, "clear = 6 must be not above above = 5"),
        ({"values": ["a"], "below": 5.0, "clear": 4.0}, "clear = 4 must be not below below = 5"),
        ({"values": []}, "length >= 1"),
        ({"values": ["a"], "above": 1.0, "over": 2}, "unknown field `over`"),
        ({"values": ["a"], "above": 1.0, "of": "mean"}, "Invalid enum value 'mean'"),
    ],
)
def test_invalid_rules_are_named(table: dict[str, object], why: str) -> None:
    with pytest.raises(StationError) as refused:
        settings_of({"serve": {"alerts": {"rules": {"smog": table}}}}, "station.toml")
    assert why in str(refused.value)
    assert "serve.alerts.rules" in str(refused.value)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"quiet": "22-7"}, "quiet = '22-7' is no time span of a day; use a form such as 22:00-07:00"),
        ({"zone": "Dublin"}, "unknown time zone 'Dublin'; use a name such as Europe/Dublin"),
        ({"rules": {"a/b": {"values": ["a"], "above": 1.0}}}, "matching regex"),
    ],
)
def test_invalid_quiet_hours_are_named(table: dict[str, object], why: str) -> None:
    with pytest.raises(StationError) as refused:
        settings_of({"serve": {"alerts": table}}, "station.toml")
    assert why in str(refused.value)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 50)), max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_the_result_does_not_depend_on_the_batches(steps: list[tuple[int, float]], cuts: list[int]) -> None:
    times = [sum(step for step, _ in steps[: rank + 1]) for rank in range(len(steps))]
    by_time = {t: value for t, (_, value) in zip(times, steps, strict=True)}
    samples = [Sample((t + 1) * MINUTE_MS, {"pm": value}) for t, value in by_time.items()]
    rule = ValueRule(["pm"], above=25.0, for_min=30)

    def run(parts: list[list[Sample]]) -> tuple[Progress, bool]:
        progress, is_raised = Progress(), False
        for part in parts:
            progress, events = judge(rule, progress, part, is_raised=is_raised, oldest_ms=0)
            is_raised = events[-1].is_raised if events else is_raised
        return progress, is_raised

    bounds = [0, *sorted(cuts), len(samples)]
    assert run([samples[begin:end] for begin, end in pairwise(bounds)]) == run([samples])


def test_a_rule_that_concerns_nothing_is_named(tmp_path: Path) -> None:
    there = Server(tmp_path, {"smog": SMOG, "typo": ValueRule(["pm2.5"], above=25.0)})
    with there.open() as store, store.reads() as connection:
        assert unused_rules(connection, there.settings.serve) == []  # there are no readings yet
    there.receive([0], 1.0)
    with there.open() as store, store.reads() as connection:
        assert unused_rules(connection, there.settings.serve) == ["typo"]
