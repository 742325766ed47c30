"""${message}"""

from alembic import op
import sqlalchemy as sa

# NNNN_from_OLDEST: OLDEST is the oldest revision whose code works with these tables. Only add; contract a version later.
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
