"""Trace context of the request that created a job."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("upload_jobs", sa.Column("request_id", sa.String(64)))
    op.add_column("upload_jobs", sa.Column("traceparent", sa.String(55)))


def downgrade() -> None:
    with op.batch_alter_table("upload_jobs") as table:
        table.drop_column("traceparent")
        table.drop_column("request_id")
