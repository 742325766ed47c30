"""Above a share of what is stored, nothing is collected."""

import pytest

from ingest.maintenance.garbage_survey import Survey
from proxy.model import new_upload_id
from tests.unit.ingest.maintenance.garbage_scene import CRASHES, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestShare:
    async def test_survey_counts_and_changes_nothing(self, scene: Scene) -> None:
        for leave in CRASHES:
            await leave(scene, new_upload_id())
        keys = await scene.store.keys()

        survey = await scene.collector().survey()

        assert survey == Survey(rows=6, accepted=3, originals=3, orphans=1, missing=2, others=6)
        assert await scene.store.keys() == keys
        assert {method for method, _ in scene.store.calls} <= {"put", "delete", "list", "folders"}

    @pytest.mark.parametrize(
        ("survey", "is_refused"),
        [
            (Survey(rows=100, accepted=100, originals=100), False),
            (Survey(rows=95, accepted=95, originals=100, orphans=5), False),
            (Survey(rows=94, accepted=94, originals=100, orphans=6), True),
            (Survey(rows=3, accepted=3, originals=4, orphans=1), False),
            (Survey(rows=3, accepted=3, originals=5, orphans=2), True),
            (Survey(rows=0, accepted=0, originals=1, orphans=1), True),
            (Survey(rows=100, accepted=100, originals=95, missing=5), False),
            (Survey(rows=100, accepted=100, originals=94, missing=6), True),
            (Survey(rows=1, accepted=1, originals=0, missing=1), True),
            (Survey(rows=4, accepted=4, originals=3, missing=1), False),
        ],
    )
    async def test_more_than_the_share_is_refused_but_one_leftover_is_not(
        self, survey: Survey, is_refused: bool
    ) -> None:
        assert (survey.refusal(0.05) is not None) is is_refused
        assert survey.refusal(1) is None

    async def test_refusal_has_counts_reason_and_way_out(self) -> None:
        assert Survey(rows=422, accepted=422, originals=622, orphans=200).refusal(0.05) == (
            "200 of 622 originals in the object store have no row in the database, which has 422 uploads. Nothing was "
            "changed, because that is more than GC_MAX_SHARE (5%). Probably this is another database, or an older "
            "backup of it: check DATABASE_URL, or rebuild the rows with `darkroom readopt`. If these originals are "
            "garbage, run `darkroom gc --max-share 0.33`."
        )
        assert Survey(rows=622, accepted=622, originals=622, orphans=200).refusal(0.33) is None
        lost = Survey(rows=10, accepted=10, originals=7, missing=3).refusal(0.05)
        assert lost is not None
        assert lost.startswith("3 of 10 uploads in the database have no original in the object store, which has 7")
