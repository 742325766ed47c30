"""Attempts of a job, and when its next one is due."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default of the database, for the rows that the version before inserts during a rolling deployment.
    op.add_column("upload_jobs", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("upload_jobs", sa.Column("retry_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("upload_jobs") as table:
        table.drop_column("retry_at")
        table.drop_column("attempts")
