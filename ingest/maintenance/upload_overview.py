"""Everything known about one upload, from the catalog and the store."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.catalog.upload_reader import UploadReader
from ingest.ingest_services import Access, open_services
from ingest.maintenance.webhook_overview import describe
from ingest.offered_sizes import standard_variants_of
from ingest.records import VariantState, WarmedVariant
from ingest.serialization.serializers import Serializer
from proxy.errors import UnknownUpload
from proxy.keys import original_key, variant_path, variants_prefix
from proxy.model import UploadId, Variant, Visibility
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.object_store import ObjectInfo, ObjectStore, look_up
from proxy.variants.encoded_variant import parse_measured
from proxy.variants.originals import created_at_of, focus_of, visibility_of


async def show(settings: Settings, upload_id: UploadId) -> dict[str, Any]:
    """Returns the overview of an upload. Raises UnknownUpload."""
    async with open_services(settings, access=Access.UNVERIFIED, retrying=False) as ingest:
        document = await Overview(ingest.proxy.store, ingest.repository, settings).describe(upload_id)
        webhooks = await ingest.outbox.find(upload_id=upload_id) if ingest.outbox else []
        return document | {"webhooks": [describe(webhook) for webhook in webhooks]}


class Overview:
    """Combines the API's JSON for an upload with the current state of each stored variant."""

    def __init__(self, store: ObjectStore, repository: UploadReader, settings: Settings) -> None:
        self._store = store
        self._repository = repository
        self._sizes = settings.sizes
        self._base = settings.url_base
        self._recipes = Recipes(settings)
        self._serializer = Serializer.from_settings(settings)

    async def describe(self, upload_id: UploadId) -> dict[str, Any]:
        """Returns the overview. If only one of `database` and `original` is true, a crash left a part of the upload.

        Raises UnknownUpload if neither knows the upload, StoreUnavailable or CatalogUnavailable.
        """
        original = await look_up(self._store, original_key(upload_id))
        known: dict[str, WarmedVariant] = {}
        standard: Sequence[Variant] = self._sizes.standard(alpha=None)
        try:
            upload, job = await self._repository.find(upload_id)
        except UnknownUpload:
            if original is None:
                raise
            document = _describe_original(upload_id, original) | {"database": False}
        else:
            document = {
                **self._serializer.upload(upload, job),
                **self._serializer.status(upload, job),
                "database": True,
            }
            known = upload.variants
            standard = standard_variants_of(self._sizes, upload)
        # The original's metadata decides, because a change writes the database last.
        focus = focus_of(original) if original else document["focus"]
        visibility = visibility_of(original) if original else Visibility(document["visibility"])
        variants = await self._variants(upload_id, visibility, standard, known)
        facts = {"original": original is not None, "focus": focus, "visibility": visibility, "variants": variants}
        return document | facts

    async def _variants(
        self,
        upload_id: UploadId,
        visibility: Visibility,
        standard: Sequence[Variant],
        known: Mapping[str, WarmedVariant],
    ) -> dict[str, dict[str, Any]]:
        """Returns the standard variants, then other stored objects, by name."""
        prefix = variants_prefix(upload_id, visibility)
        listed = [info.key async for info in self._store.list(prefix)]
        infos = dict(zip(listed, await asyncio.gather(*(look_up(self._store, key) for key in listed)), strict=True))
        names = dict.fromkeys([variant.name for variant in standard] + [key.removeprefix(prefix) for key in listed])
        found = {name: (self._sizes.parse(name, visibility), infos.get(prefix + name)) for name in names}
        return {name: self._variant(upload_id, *found[name], known.get(name)) for name in names}

    def _variant(
        self, upload_id: UploadId, variant: Variant | None, info: ObjectInfo | None, known: WarmedVariant | None
    ) -> dict[str, Any]:
        """Describes a variant. `stale` is None if it is not stored; `url` is None if no size has this name."""
        recipe = info.metadata.get("recipe") if info else None
        measured = parse_measured(info.metadata) if info else None
        return {
            "state": VariantState.STORED if info else VariantState.WAITING,
            "bytes": info.size if info else None,
            "milliseconds": known.milliseconds if known else None,
            "quality": measured.quality if measured else None,
            "score": measured.score if measured else None,
            "recipe": recipe,
            "stale": (variant is None or recipe != self._recipes.fingerprint(variant)) if info else None,
            "url": self._base + variant_path(upload_id, variant) if variant else None,
        }


def _describe_original(upload_id: UploadId, original: ObjectInfo) -> dict[str, Any]:
    return {
        "uploadId": upload_id,
        "status": None,
        "format": original.content_type.removeprefix("image/"),
        "originalSize": original.size,
        "createdAt": created_at_of(original).isoformat(),
    }
