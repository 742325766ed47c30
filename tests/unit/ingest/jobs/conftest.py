"""An accepted upload."""

import pytest_asyncio

from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes


@pytest_asyncio.fixture(loop_scope="session")
async def upload(uploads: UploadService) -> Upload:
    return await uploads.receive(chunks_of(image_bytes(format="png")))
