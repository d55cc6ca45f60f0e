"""Gateways, PINs, tokens, uploads and device logs of a server."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAME = sa.String(120)
_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "gateways",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("device_id", _NAME, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger),
        sa.Column("revoked_ms", sa.BigInteger),
        comment="stations that may upload, with hashes of their keys",
        **_OPTIONS,
    )
    op.create_table(
        "pins",
        sa.Column("pin_hash", sa.String(64), primary_key=True),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        comment="PINs for the registration of one station each",
        **_OPTIONS,
    )
    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("name", _NAME, nullable=False, unique=True),
        sa.Column("may_write", sa.Integer, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        comment="tokens of people and programs that use the server",
        **_OPTIONS,
    )
    _make_uploads()


def _make_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("gateway_id", sa.Integer, sa.ForeignKey("gateways.id"), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        comment="batches that the server receives or has received",
        **_OPTIONS,
    )
    op.create_table(
        "gadget_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("t_utc_ms", sa.BigInteger, nullable=False),
        sa.Column("action_type", _NAME, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("who", _NAME, nullable=False),
        comment="log entries of devices",
        **_OPTIONS,
    )
