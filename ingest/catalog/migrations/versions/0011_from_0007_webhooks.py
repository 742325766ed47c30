"""Webhooks that wait to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0011_from_0007"
down_revision = "0010_from_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("upload_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.CheckConstraint("status IN ('pending', 'failed')", name="webhooks_status"),
    )
    op.create_index("webhooks_by_time", "webhooks", ["status", "due_at"])
    op.create_index("webhooks_by_upload", "webhooks", ["upload_id"])


def downgrade() -> None:
    op.drop_table("webhooks")
