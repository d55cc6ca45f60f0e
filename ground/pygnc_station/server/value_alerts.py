"""Alerts on values: the rules of the settings file and of the store are applied to the readings that have arrived.

The state of each rule for each gadget is stored in the transaction of the notices, so a restart repeats and loses none.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from pygnc_station.errors import StationError
from pygnc_station.server.alerts import Change, add_notices
from pygnc_station.server.corrections import Corrections, ValueOf, value_of
from pygnc_station.server.value_rules import Event, Progress, Sample, judge, quiet_until_ms, text_of
from pygnc_station.server_settings import Alerts, RuleName, Serve, ValueRule
from pygnc_station.store import schema
from pygnc_station.store.query import Span, conditions, streams_of
from pygnc_station.store.readings import CONTENT_DECODER, MINUTE_MS, Quality, Stream
from pygnc_station.store.store import Store, add_once

_NOT_CREDIBLE: Final = int(Quality.FUTURE | Quality.CLOCK)
_S: Final = schema.rule_states.c
_R: Final = schema.readings.c
_REMOVED: Final = "the rule was removed, or does not concern this gadget any more"


class State(NamedTuple):
    """Stored state of a rule for a gadget; `progress` is the JSON text, "" if no reading was judged."""

    progress: str = ""
    raised_ms: int | None = None


class _Column(NamedTuple):
    """Value of a stream that a rule concerns: its name, its unit, and the function that reads and corrects it."""

    name: str
    unit: str
    read: ValueOf


class _Case(NamedTuple):
    """Rule and gadget, with the streams of the gadget that the rule concerns, and their columns."""

    rule_name: str
    rule: ValueRule
    device_id: int
    gadget: str
    among: list[tuple[Stream, list[_Column]]]

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return self.among[0][1][0].unit


class _Result(NamedTuple):
    case: _Case
    before: State
    after: State
    changes: list[Change]
    text: str


def rules_of(connection: Connection, settings: Alerts) -> dict[str, ValueRule]:
    """Return all rules by name: those of the store, and those of the settings file, which take precedence."""
    c = schema.alert_rules.c
    rows = connection.execute(select(c.name, c.content).order_by(c.name))
    return {name: msgspec.json.decode(content, type=ValueRule) for name, content in rows} | settings.rules


def put_rule(connection: Connection, settings: Alerts, name: str, rule: ValueRule | None) -> None:
    """Store a rule, or delete it for None; it is applied to the newest readings again.

    Raises:
        StationError: the name is invalid, belongs to the settings file, or there is no rule to delete.
    """
    try:
        msgspec.convert(name, RuleName)
    except msgspec.ValidationError:
        why = "use up to 40 letters, digits, spaces, points, - and _, and begin with a letter or digit"
        raise StationError(f"the name {name!r:.80} of a rule is invalid; {why}") from None
    if name in settings.rules:
        raise StationError(f"rule {name!r} is in the settings file of the server; change it there")
    c = schema.alert_rules.c
    deleted = connection.execute(delete(schema.alert_rules).where(c.name == name)).rowcount
    if rule is None and not deleted:
        raise StationError(f"no rule has the name {name!r}")
    if rule is not None:
        row = {"name": name, "content": msgspec.json.encode(rule).decode()}
        connection.execute(insert(schema.alert_rules), row)
        connection.execute(update(schema.rule_states).where(_S.rule == name).values(progress=""))


def check_values(store: Store, serve: Serve, destinations: Collection[str], now_ms: int) -> list[Change]:
    """Apply all rules to the new readings, store their states and the notices of changes; return the changes.

    Args:
        store: store of the server.
        serve: settings of the server.
        destinations: names of the destinations of notifications.
        now_ms: current time, milliseconds since 1970 (UTC).
    """
    with store.reads() as connection:
        cases = list(_cases(connection, serve, rules_of(connection, serve.alerts)))
        states = {
            (rule, device): State(progress, raised_ms)
            for rule, device, progress, raised_ms in connection.execute(
                select(_S.rule, _S.device_id, _S.progress, _S.raised_ms)
            )
        }
        results = _results(connection, cases, states, serve, now_ms)
        obsolete = states.keys() - {(case.rule_name, case.device_id) for case in cases}
    if not results and not obsolete:
        return []
    held_until_ms = quiet_until_ms(serve.alerts, now_ms)
    found: list[Change] = []
    with store.writes() as connection:
        for each in results:
            if _replace(connection, each):
                for change in each.changes:
                    held_ms = 0 if each.case.rule.urgent else held_until_ms
                    add_notices(connection, change, destinations, now_ms, held_ms)
                found += each.changes
        for rule, device in sorted(obsolete):
            removed = _remove(connection, rule, device, is_raised=states[rule, device].raised_ms is not None)
            if removed is not None:
                add_notices(connection, removed, destinations, now_ms, held_until_ms)
                found.append(removed)
    return found


def unused_rules(connection: Connection, serve: Serve) -> list[str]:
    """Return the names of the rules that concern no value of any gadget, if there are readings at all."""
    rules = rules_of(connection, serve.alerts)
    used = {case.rule_name for case in _cases(connection, serve, rules)}
    return [name for name in rules if name not in used] if streams_of(connection) else []


def _cases(connection: Connection, serve: Serve, rules: Mapping[str, ValueRule]) -> Iterator[_Case]:
    """Yield each rule with each gadget that has values which it concerns."""
    d, corrections = schema.devices.c, Corrections(connection, serve)
    ids = {row.gadget_id: row.id for row in connection.execute(select(d.id, d.gadget_id))} if rules else {}
    by_gadget: dict[str, list[Stream]] = defaultdict(list)
    for stream in streams_of(connection) if rules else []:
        by_gadget[stream.gadget_id].append(stream)
    for name, rule in rules.items():
        for gadget, streams in by_gadget.items():
            if _matches(gadget, rule.gadgets):
                among = [(stream, _columns(rule, stream, corrections)) for stream in streams]
                if concerned := [(stream, columns) for stream, columns in among if columns]:
                    yield _Case(name, rule, ids[gadget], gadget, concerned)


def _columns(rule: ValueRule, stream: Stream, corrections: Corrections) -> list[_Column]:
    found = []
    for name, unit in ((column.name, column.unit) for column in stream.layout.columns):
        if _matches(name, rule.values):
            correct = corrections.of(stream, name) if rule.corrected else None
            found.append(_Column(name, unit, value_of(stream.layout, name, correct)))
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _results(
    connection: Connection,
    cases: Iterable[_Case],
    states: Mapping[tuple[str, int], State],
    serve: Serve,
    now_ms: int,
) -> list[_Result]:
    """Return the states that new readings have changed."""
    oldest_ms = now_ms - int(serve.alerts.max_age_min * MINUTE_MS)
    latest_ms = serve.limits.latest_ms(now_ms)
    found = []
    for case in cases:
        state = states.get((case.rule_name, case.device_id), State())
        before = msgspec.json.decode(state.progress, type=Progress) if state.progress else Progress()
        if before.judged_ms > latest_ms:
            before = Progress()  # it was judged under a clock set ahead
        earliest_ms = oldest_ms - int(case.rule.for_min * MINUTE_MS)
        span = Span(max(before.judged_ms + 1, earliest_ms), latest_ms + 1)
        samples = sorted(_samples(connection, case, span), key=lambda sample: sample.t_utc_ms)
        if samples:
            is_raised = state.raised_ms is not None
            after, events = judge(case.rule, before, samples, is_raised=is_raised, oldest_ms=oldest_ms)
            found.append(_result(case, state, after, events, now_ms))
    return found


def _samples(connection: Connection, case: _Case, span: Span) -> Iterator[Sample]:
    for stream, columns in case.among:
        query = select(_R.t_utc_ms, _R.content).where(*conditions(stream, span))
        for t_utc_ms, content in connection.execute(query.where(_R.quality.bitwise_and(_NOT_CREDIBLE) == 0)):
            stored = CONTENT_DECODER.decode(content)
            read = ((column.name, column.read(stored, t_utc_ms)) for column in columns)
            if values := {name: value for name, value in read if value is not None}:
                yield Sample(t_utc_ms, values)


def _result(case: _Case, before: State, after: Progress, events: Sequence[Event], now_ms: int) -> _Result:
    changes = [
        Change(0, case.gadget, case.rule_name, event.is_raised, text_of(case.rule, event, case.unit))
        for event in events
    ]
    raised_ms = before.raised_ms
    for change in changes:
        raised_ms = now_ms if change.is_raised else None
    text = changes[-1].text if changes else ""
    return _Result(case, before, State(msgspec.json.encode(after).decode(), raised_ms), changes, text)


def _replace(connection: Connection, result: _Result) -> bool:
    """Store the state of a rule; return False if another process has judged readings since it was read."""
    key = {"rule": result.case.rule_name, "device_id": result.case.device_id}
    if not result.before.progress:
        add_once(connection, schema.rule_states, [key | {"progress": "", "raised_ms": None, "text": ""}])
    values = result.after._asdict() | ({"text": result.text} if result.changes else {})
    is_unchanged = (_S.rule == key["rule"], _S.device_id == key["device_id"], _S.progress == result.before.progress)
    return connection.execute(update(schema.rule_states).where(*is_unchanged).values(**values)).rowcount == 1


def _remove(connection: Connection, rule: str, device_id: int, *, is_raised: bool) -> Change | None:
    """Delete the state of a rule for a gadget; return the change if its alert was raised."""
    deleted = delete(schema.rule_states).where(_S.rule == rule, _S.device_id == device_id)
    if not connection.execute(deleted).rowcount or not is_raised:
        return None
    d = schema.devices.c
    gadget = connection.execute(select(d.gadget_id).where(d.id == device_id)).scalar() or ""
    return Change(0, gadget, rule, False, _REMOVED)  # noqa: FBT003 - is_raised
