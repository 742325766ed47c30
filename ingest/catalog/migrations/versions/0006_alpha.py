"""Whether originals are transparent."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("alpha", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("images", "alpha")
