"""Tables of a store, the same for every kind of database.

A new table or column requires a new `REVISION`. A column that older stores lack is nullable or has a `server_default`;
any other change also requires a migration in `database`.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.mysql import LONGTEXT, MEDIUMBLOB
from sqlalchemy.schema import SchemaItem

REVISION: Final = "0012"
"""Revision of these tables, which every store records."""

metadata: Final = MetaData()
LONG_TEXT: Final = Text().with_variant(LONGTEXT, "mysql", "mariadb")
MAX_NAME_LENGTH: Final = 120
NAME: Final = String(MAX_NAME_LENGTH)


def _table(name: str, *parts: SchemaItem, **options: Any) -> Table:  # noqa: ANN401 - SQLAlchemy's
    return Table(
        name,
        metadata,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        **options,
    )


def is_named(column: ColumnElement[Any], name: str | ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a column contains a name, in any case of its letters.

    Both sides are converted by the database: SQLite converts only ASCII letters, so Python's conversion would differ.
    """
    return func.lower(column) == func.lower(name)


facts: Final = _table(
    "facts",
    Column("name", NAME, primary_key=True),
    Column("value", Text, nullable=False),
    comment="single values, such as origin, the identifier of this store",
)

devices: Final = _table(
    "devices",
    Column("id", Integer, primary_key=True),
    Column("gadget_id", NAME, nullable=False, unique=True),
    Column("family", NAME, nullable=False),
    Column("serial_number", NAME, nullable=False),
    Column("title", NAME, nullable=False),
    Column("status", String(1), nullable=False),
    Column("notes", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("gateway_id", Integer, comment="owner: id in gateways; null: none"),
    Column("local_name", NAME, comment="name of the device at its owner"),
)

streams: Final = _table(
    "streams",
    Column("id", Integer, primary_key=True),
    Column("device_id", Integer, ForeignKey("devices.id"), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("layout_digest", String(16), nullable=False),
    Column("layout", LONG_TEXT, nullable=False),
    Column("next_number", BigInteger, nullable=False),
    Column("first_origin", String(64), comment="first origin of the store, which its copies share; null: origin"),
    UniqueConstraint("device_id", "origin", "kind", "layout_digest", name="uq_streams"),
    comment="readings of one kind of one device, numbered by one store",
)

readings: Final = _table(
    "readings",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    # Time comes first in the key, so that the readings of a day are adjacent on the disk.
    Column("t_utc_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("quality", Integer, nullable=False),
    Column("lost_before", Integer, nullable=False),
    Column("flags", Text, nullable=False, comment="the driver's flags, separated by commas"),
    Column("content", LONG_TEXT, nullable=False, comment="JSON list of the values in the order of the stream's layout"),
    Column("raw", LargeBinary().with_variant(MEDIUMBLOB, "mysql", "mariadb"), comment="received bytes"),
    CheckConstraint("number > 0", name="ck_readings_number"),
    UniqueConstraint("stream_id", "number", name="uq_readings"),
    sqlite_with_rowid=False,
)

hours: Final = _table(
    "hours",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False, comment="hours since 1970 (UTC)"),
    Column("content", LONG_TEXT, nullable=False, comment="JSON list of [count, sum, min, max] of each value, or null"),
    comment="hourly statistics of the readings; only a server computes them",
    sqlite_with_rowid=False,
)

late_hours: Final = _table(
    "late_hours",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    comment="hours that received readings below the next number of their stream, so that no cursor finds them",
    sqlite_with_rowid=False,
)

pruned_hours: Final = _table(
    "pruned_hours",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False, comment="first hour, hours since 1970 (UTC)"),
    Column("hours", Integer, primary_key=True, autoincrement=False, comment="1: of the hour, 24: of the day"),
    Column("content", LONG_TEXT, nullable=False, comment="as in hours"),
    comment="statistics of deleted readings, which a server keeps",
    sqlite_with_rowid=False,
)

pruned_numbers: Final = _table(
    "pruned_numbers",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    comment="numbers of the readings in pruned_hours, both included; they are not stored again",
    sqlite_with_rowid=False,
)

cursors: Final = _table(
    "cursors",
    Column("reader", NAME, primary_key=True),
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    comment="last number that each reader of the store has processed",
)

targets: Final = _table(
    "targets",
    Column("name", NAME, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_try_ms", BigInteger, nullable=False),
    Column("last_success_ms", BigInteger),
    Column("problem", Text, nullable=False),
    comment="retry state of each transfer",
)

dead_letters: Final = _table(
    "dead_letters",
    Column("target", NAME, primary_key=True),
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("t_utc_ms", BigInteger, nullable=False),
    comment="readings that a target refuses, which others may pass",
)

batches: Final = _table(
    "batches",
    Column("id", String(32), primary_key=True),
    Column("name", NAME, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("pieces", LONG_TEXT, nullable=False, comment="JSON: readings and files in the batch"),
    Column("readings", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("remote_id", NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("acceptance", Integer, comment="rank of its acceptance by the server; null: never accepted"),
    Column("accepted_ms", BigInteger, comment="time of its acceptance"),
    comment="batches of readings and files for a server",
)

batched_files: Final = _table(
    "batched_files",
    Column("path_digest", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    comment="files in batches, as they were when they were selected",
)

gateways: Final = _table(
    "gateways",
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("device_id", NAME, nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("refused_ms", BigInteger, comment="last request with the revoked key"),
    Column("lost_ms", BigInteger, comment="last request that named accepted batches which are unknown here"),
    comment="stations that may upload, with hashes of their keys",
)

station_states: Final = _table(
    "station_states",
    Column("gateway_id", Integer, ForeignKey("gateways.id"), primary_key=True, autoincrement=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("content", LONG_TEXT, nullable=False, comment="JSON: pygnc_station.station_state.StationState"),
    comment="newest state that each station has reported",
)

alerts: Final = _table(
    "alerts",
    Column("gateway_id", Integer, primary_key=True, autoincrement=False, comment="0: this server"),
    Column("name", String(20), primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    comment="alerts that are raised now",
)

notices: Final = _table(
    "notices",
    Column("id", Integer, primary_key=True),
    Column("destination", NAME, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_ms", BigInteger, nullable=False),
    Column("held_until_ms", BigInteger, nullable=False, server_default="0", comment="end of the quiet hours; 0: none"),
    comment="changes of alerts that a destination has not received yet",
)

alert_rules: Final = _table(
    "alert_rules",
    Column("name", NAME, primary_key=True),
    Column("content", LONG_TEXT, nullable=False, comment="JSON: pygnc_station.server_settings.ValueRule"),
    comment="rules of alerts on values beside those of the settings file",
)

rule_states: Final = _table(
    "rule_states",
    Column("rule", NAME, primary_key=True),
    Column("device_id", Integer, ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    Column("progress", LONG_TEXT, nullable=False, comment="JSON: pygnc_station.server.value_rules.Progress"),
    Column("raised_ms", BigInteger, comment="time at which the alert was raised; null: it is not"),
    Column("text", Text, nullable=False),
    comment="state of each rule for each gadget that it concerns",
)

pins: Final = _table(
    "pins",
    Column("pin_hash", String(64), primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("gateway_id", Integer, comment="gateway that gets a new key; null: a new one"),
    comment="PINs for the registration of one station each",
)

tokens: Final = _table(
    "tokens",
    Column("token_hash", String(64), primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("may_write", Integer, nullable=False),
    Column("expires_ms", BigInteger),
    comment="tokens of people and programs that use the server",
)

users: Final = _table(
    "users",
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password_hash", Text, nullable=False, comment="of argon2, or of Django until the next sign-in"),
    Column("totp_secret", String(64), nullable=False, server_default="", comment="second factor; empty: none"),
    Column("totp_step", BigInteger, nullable=False, server_default="0", comment="step of the last code that was used"),
    Column("created_ms", BigInteger, nullable=False),
    comment="people who sign in on the page",
)

sessions: Final = _table(
    "sessions",
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("host", NAME, nullable=False, comment="name of the server in the sign-in"),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    comment="browsers in which people have signed in",
)

audit_log: Final = _table(
    "audit_log",
    Column("id", Integer, primary_key=True),
    Column("t_utc_ms", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("origin", NAME, nullable=False, comment="address of the client, or that it was a command"),
    Column("action", Text, nullable=False),
    comment="changes by people and programs",
)

uploads: Final = _table(
    "uploads",
    Column("id", String(32), primary_key=True),
    Column("gateway_id", Integer, ForeignKey("gateways.id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("state", String(12), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("readings", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("conflict", String(64), nullable=False, server_default="", comment="origin that two stations use"),
    comment="batches that the server receives or has received",
)

gadget_log: Final = _table(
    "gadget_log",
    Column("id", Integer, primary_key=True),
    Column("device_id", Integer, ForeignKey("devices.id"), nullable=False),
    Column("t_utc_ms", BigInteger, nullable=False),
    Column("action_type", NAME, nullable=False),
    Column("action", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("who", NAME, nullable=False),
    comment="log entries of devices",
)

calibrations: Final = _table(
    "calibrations",
    Column("id", Integer, primary_key=True),
    Column("gadget_id", NAME, nullable=False),
    Column("name", NAME, nullable=False, comment="name of the value"),
    Column("since_ms", BigInteger, nullable=False),
    Column("gain", Double, nullable=False),
    Column("offset_value", Double, nullable=False, comment="OFFSET is a word of MariaDB"),
    Column("kappa", Double, nullable=False, comment="hygroscopicity; 0: no correction for humidity"),
    Column("reference", NAME, nullable=False, comment="gadget beside which the calibration was fitted"),
    Column("report", Text, nullable=False, comment="figures of the fit, JSON"),
    Column("created_ms", BigInteger, nullable=False),
    comment="calibrations of values, each in effect from a time on",
)
