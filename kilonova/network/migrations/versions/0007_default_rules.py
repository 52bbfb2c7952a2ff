"""The rules that new security groups begin with"""

import uuid
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.create_table(
        "default_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision_number", sa.Integer(), nullable=False),
        sa.Column("created_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("ethertype", sa.String(length=8), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=True),
        sa.Column("port_range_min", sa.Integer(), nullable=True),
        sa.Column("port_range_max", sa.Integer(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(length=64), nullable=True),
        sa.Column("remote_group_id", sa.String(length=36), nullable=True),
        sa.Column("in_default_groups", sa.String(length=255), nullable=True),
        sa.Column("in_other_groups", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("in_default_groups"),
        sa.UniqueConstraint("in_other_groups"),
    )
    # What every group began with before: all out; into a project's default one, what comes from the group itself.
    op.bulk_insert(
        table,
        [
            _row(0, "egress", "IPv4", None),
            _row(1, "egress", "IPv6", None),
            _row(2, "ingress", "IPv4", "PARENT"),
            _row(3, "ingress", "IPv6", "PARENT"),
        ],
    )


def _row(place: int, direction: str, ethertype: str, remote_group_id: str | None) -> dict[str, object]:
    now = datetime.now(UTC) + timedelta(microseconds=place)
    meaning = f"{direction} {ethertype} * * * * {remote_group_id or '*'}"
    return {
        "id": str(uuid.uuid4()),
        "project_id": "",
        "name": "",
        "description": "",
        "tags": [],
        "revision_number": 1,
        "created_at": now,
        "updated_at": now,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": remote_group_id,
        "in_default_groups": meaning,
        "in_other_groups": meaning if direction == "egress" else None,
    }


def downgrade() -> None:
    op.drop_table("default_rules")
