"""Ports are bound by rows of their own"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AT_ONCE = 1000
BRIDGE_AGENT = "Linux bridge agent"

ports = sa.table(
    "ports",
    sa.column("id", sa.String),
    sa.column("network_id", sa.String),
    sa.column("host", sa.String),
    sa.column("vnic_type", sa.String),
    sa.column("binding_profile", sa.JSON),
)
networks = sa.table("networks", sa.column("id", sa.String), sa.column("physical_network", sa.String))
agents = sa.table(
    "agents",
    sa.column("agent_type", sa.String),
    sa.column("host", sa.String),
    sa.column("configurations", sa.JSON),
)


def upgrade() -> None:
    bindings = op.create_table(
        "port_bindings",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("vif_type", sa.String(length=64), nullable=False),
        sa.Column("vif_details", sa.JSON(), nullable=False),
        sa.Column("vnic_type", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("port_id", "host"),
    )
    op.create_index("port_bindings_host", "port_bindings", ["host", "port_id"])
    _fill(bindings)
    op.drop_index("ports_host", table_name="ports")
    # Not by making the table anew: addresses and memberships would go with the old one.
    for name in ("host", "vnic_type", "binding_profile"):
        op.drop_column("ports", name)


def _fill(bindings: sa.Table) -> None:
    connection = op.get_bind()
    told = sa.select(agents.c.host, agents.c.configurations).where(agents.c.agent_type == BRIDGE_AGENT)
    mappings = {host: found.get("bridge_mappings") or {} for host, found in connection.execute(told)}
    physical = {row.id: row.physical_network for row in connection.execute(sa.select(networks))}
    last = ""
    while rows := connection.execute(
        sa.select(ports).where(ports.c.id > last).order_by(ports.c.id).limit(AT_ONCE)
    ).all():
        last = rows[-1].id
        connection.execute(sa.insert(bindings), [_binding(row, mappings, physical) for row in rows])


def _binding(row: Any, mappings: dict[str, dict[str, str]], physical: dict[str, str | None]) -> dict[str, Any]:
    vif_type, vif_details = "unbound", {}
    if row.host:
        vif_type = "binding_failed"
    if row.host in mappings:
        bridge = mappings[row.host].get(physical[row.network_id] or "") or f"brq{row.network_id[:11]}"
        vif_type, vif_details = "bridge", {"connectivity": "l2", "port_filter": True, "bridge_name": bridge}
    return {
        "port_id": row.id,
        "host": row.host,
        "status": "ACTIVE",
        "vif_type": vif_type,
        "vif_details": vif_details,
        "vnic_type": row.vnic_type,
        "profile": row.binding_profile,
    }


def downgrade() -> None:
    for name in (
        sa.Column("host", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("vnic_type", sa.String(length=64), nullable=False, server_default="normal"),
        sa.Column("binding_profile", sa.JSON(), nullable=True),
    ):
        op.add_column("ports", name)
    op.execute(
        "UPDATE ports SET host = (SELECT host FROM port_bindings WHERE port_id = ports.id AND status = 'ACTIVE'), "
        "vnic_type = (SELECT vnic_type FROM port_bindings WHERE port_id = ports.id AND status = 'ACTIVE'), "
        "binding_profile = (SELECT profile FROM port_bindings WHERE port_id = ports.id AND status = 'ACTIVE')"
    )
    op.create_index("ports_host", "ports", ["host"])
    op.drop_table("port_bindings")
