"""Devices, streams, readings and cursors."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb")
_BLOB = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB, "mysql", "mariadb")
_NAME = sa.String(120)
_OPTIONS: Final[dict[str, Any]] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "facts",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        comment="single values, such as origin, the identifier of this store",
        **_OPTIONS,
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("gadget_id", _NAME, nullable=False, unique=True),
        sa.Column("family", _NAME, nullable=False),
        sa.Column("serial_number", _NAME, nullable=False),
        sa.Column("title", _NAME, nullable=False),
        sa.Column("status", sa.String(1), nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        **_OPTIONS,
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("layout_digest", sa.String(16), nullable=False),
        sa.Column("layout", _LONG_TEXT, nullable=False),
        sa.Column("next_number", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("device_id", "origin", "kind", "layout_digest", name="uq_streams"),
        comment="readings of one kind of one device, numbered by one store",
        **_OPTIONS,
    )
    _make_readings()
    _make_readers()


def _make_readings() -> None:
    op.create_table(
        "readings",
        sa.Column("stream_id", sa.Integer, sa.ForeignKey("streams.id"), primary_key=True, autoincrement=False),
        sa.Column("t_utc_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("quality", sa.Integer, nullable=False),
        sa.Column("lost_before", sa.Integer, nullable=False),
        sa.Column("flags", sa.Text, nullable=False, comment="the driver's flags, separated by commas"),
        sa.Column(
            "content", _LONG_TEXT, nullable=False, comment="JSON list of the values in the order of the stream's layout"
        ),
        sa.Column("raw", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB, "mysql", "mariadb"), comment="received bytes"),
        sa.CheckConstraint("number > 0", name="ck_readings_number"),
        sa.UniqueConstraint("stream_id", "number", name="uq_readings"),
        sqlite_with_rowid=False,
        **_OPTIONS,
    )


def _make_readers() -> None:
    op.create_table(
        "cursors",
        sa.Column("reader", _NAME, primary_key=True),
        sa.Column("stream_id", sa.Integer, sa.ForeignKey("streams.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        comment="last number that each reader of the store has processed",
        **_OPTIONS,
    )
    op.create_table(
        "targets",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_ms", sa.BigInteger, nullable=False),
        sa.Column("last_success_ms", sa.BigInteger),
        sa.Column("problem", sa.Text, nullable=False),
        comment="retry state of each transfer",
        **_OPTIONS,
    )
    op.create_table(
        "dead_letters",
        sa.Column("target", _NAME, primary_key=True),
        sa.Column("stream_id", sa.Integer, sa.ForeignKey("streams.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("t_utc_ms", sa.BigInteger, nullable=False),
        comment="readings that a target refuses, which others may pass",
        **_OPTIONS,
    )
