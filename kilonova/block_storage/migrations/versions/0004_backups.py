"""Backups, and what keeps them"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("volume_id", sa.String(length=36), nullable=False),
        sa.Column("snapshot_id", sa.String(length=36), nullable=True),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("size_gib", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("fail_reason", sa.Text(), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("availability_zone", sa.String(length=255), nullable=True),
        sa.Column("container", sa.String(length=255), nullable=False),
        sa.Column("object_count", sa.Integer(), nullable=False),
        sa.Column("volume_properties", sa.JSON(), nullable=False),
        sa.Column("data_timestamp", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.Column("created_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("backups_project", "backups", ["project_id", "created_at"], unique=False)
    op.create_index("backups_created_at", "backups", ["created_at"], unique=False)
    op.create_index("backups_volume", "backups", ["volume_id"], unique=False)
    op.create_index("backups_parent", "backups", ["parent_id"], unique=False)
    op.create_table(
        "backup_metadata",
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key"),
    )
    op.create_table(
        "backup_services",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("host"),
    )
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("source_backup_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.drop_column("source_backup_id")
    op.drop_table("backup_services")
    op.drop_table("backup_metadata")
    op.drop_table("backups")
