"""The worker that runs a job, and its last sign of life."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("upload_jobs", sa.Column("worker", sa.String(32)))
    op.add_column("upload_jobs", sa.Column("heartbeat_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("upload_jobs") as table:
        table.drop_column("heartbeat_at")
        table.drop_column("worker")
