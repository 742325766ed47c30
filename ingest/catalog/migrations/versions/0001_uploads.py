"""Upload jobs and images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "upload_jobs",
        sa.Column("upload_id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.CheckConstraint("status IN ('pending', 'processing', 'complete', 'failed')", name="upload_jobs_status"),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name="upload_jobs_progress"),
    )
    op.create_index("upload_jobs_by_status", "upload_jobs", ["status", "created_at"])
    op.create_table(
        "images",
        sa.Column(
            "upload_id",
            sa.Uuid(as_uuid=False),
            sa.ForeignKey("upload_jobs.upload_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("format", sa.String(4), nullable=False),
        sa.Column("original_size", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("thumbhash", sa.Text, nullable=False),
        sa.Column("color", sa.String(7), nullable=False),
        sa.Column("variants", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("created_at", moment, nullable=False),
    )
    op.create_index("images_newest", "images", ["created_at", "upload_id"])


def downgrade() -> None:
    op.drop_table("images")
    op.drop_table("upload_jobs")
