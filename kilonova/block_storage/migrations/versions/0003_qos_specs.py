"""QoS specs, and the volume types that have them"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "qos_specs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("consumer", sa.String(length=16), nullable=False),
        sa.Column("specs", sa.JSON(), nullable=False),
        sa.Column("created_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    with op.batch_alter_table("volume_types", schema=None) as batch_op:
        batch_op.add_column(sa.Column("qos_specs_id", sa.String(length=36), nullable=True))
        batch_op.create_index("volume_types_qos_specs", ["qos_specs_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("volume_types", schema=None) as batch_op:
        batch_op.drop_index("volume_types_qos_specs")
        batch_op.drop_column("qos_specs_id")
    op.drop_table("qos_specs")
