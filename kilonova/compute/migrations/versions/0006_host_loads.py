"""How many servers each host has, and the revisions of hosts.

The servers that are there are counted once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "host_loads",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("servers", sa.Integer(), nullable=False),
        sa.Column("building", sa.Integer(), nullable=False),
        sa.Column("row_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host"),
        sa.UniqueConstraint("revision"),
    )
    op.execute(
        "INSERT INTO host_loads (host, servers, building, row_revision, revision) SELECT places.host, "
        "(SELECT COUNT(*) FROM servers WHERE servers.host = places.host), "
        "(SELECT COUNT(*) FROM servers WHERE servers.host = places.host AND servers.vm_state = 'building'), "
        "ROW_NUMBER() OVER (ORDER BY places.host), ROW_NUMBER() OVER (ORDER BY places.host) "
        "FROM (SELECT host FROM hosts UNION SELECT host FROM servers WHERE host IS NOT NULL) AS places"
    )


def downgrade() -> None:
    op.drop_table("host_loads")
