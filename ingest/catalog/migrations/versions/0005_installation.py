"""Id of the installation, which the object store has too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("bound", sa.Boolean, nullable=False),
        sa.CheckConstraint("slot = 1", name="installation_is_one"),
    )


def downgrade() -> None:
    op.drop_table("installation")
