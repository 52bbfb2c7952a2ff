"""IPv6 subnets with a prefix shorter than /64, which nothing ever served, say so"""

import ipaddress

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SHORTEST_PREFIX = 64

subnets = sa.table(
    "subnets",
    sa.column("id", sa.String),
    sa.column("cidr", sa.String),
    sa.column("ip_version", sa.Integer),
    sa.column("enable_dhcp", sa.Boolean),
    sa.column("ipv6_ra_mode", sa.String),
    sa.column("ipv6_address_mode", sa.String),
)


def upgrade() -> None:
    connection = op.get_bind()
    found = connection.execute(sa.select(subnets.c.id, subnets.c.cidr).where(subnets.c.ip_version == 6)).all()
    nothing = {"enable_dhcp": False, "ipv6_ra_mode": None, "ipv6_address_mode": None}
    for subnet_id, cidr in found:
        if ipaddress.ip_network(cidr).prefixlen < SHORTEST_PREFIX:
            connection.execute(sa.update(subnets).where(subnets.c.id == subnet_id).values(nothing))


def downgrade() -> None:
    pass
