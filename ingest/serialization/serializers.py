"""Builds the API's JSON and the ready `<picture>` element."""

from darkroom import picture_html
from ingest.catalog.upload_reader import Page
from ingest.offered_sizes import displayed_size, look_numbers, offered_sizes, visible_effects
from ingest.records import Job, JobStatus, OwnerDeletion, PrivateMetadata, Upload
from ingest.serialization import schemas
from ingest.serialization.placeholder import data_url
from ingest.serialization.schemas import Accepted, ConfiguredSizes, Deletion, DisplayedSize, Privacy, Status, UploadPage
from proxy.keys import variant_path
from proxy.model import DENSITIES, Format, Size, Sizes, UploadId, Variant, Visibility
from proxy.settings import Settings


class Serializer:
    """Serializes uploads for the configured sizes.

    `base` begins the URLs of variants, `public_url` those of the API's own calls; if empty, they are plain paths.
    `strip_metadata`: whether variants carry no metadata; otherwise they keep EXIF.
    """

    def __init__(self, sizes: Sizes, base: str, *, public_url: str = "", strip_metadata: bool = True) -> None:
        self._sizes = sizes
        self._base = base
        self._public_url = public_url
        self._strip_metadata = strip_metadata

    @classmethod
    def from_settings(cls, settings: Settings) -> "Serializer":
        return cls(
            settings.sizes,
            settings.url_base,
            public_url=settings.public_url or "",
            strip_metadata=settings.strip_metadata,
        )

    def created(self, upload: Upload) -> Accepted:
        """Returns the JSON of the response to an upload, without its receipt."""
        return {
            "uploadId": upload.upload_id,
            "originalSize": upload.original_size,
            "dimensions": {"width": upload.width, "height": upload.height},
            "format": upload.format,
            "animated": upload.animated,
            "status": JobStatus.PENDING,
            "statusUrl": f"{self.upload_url(upload.upload_id)}/status",
            "sizes": {name: _dimensions(size, upload) for name, size in self._sizes.items()},
            "urls": {
                name: self._urls(upload, size)
                for name, size in offered_sizes(self._sizes, upload.width, upload.height).items()
            },
            "placeholder": {
                "thumbhash": upload.thumbhash,
                "color": upload.color,
                # The ThumbHash of a small image is opaque if only a few pixels of the original are transparent.
                "dataUrl": None if upload.alpha else data_url(upload.thumbhash),
            },
            "privacy": self._privacy(upload.private),
            "focus": upload.focus,
            "owner": upload.owner,
            "externalId": upload.external_id,
            "metadata": upload.metadata,
            "visibility": upload.visibility,
        }

    def upload(self, upload: Upload, job: Job) -> schemas.Upload:
        """Returns the JSON of `GET /images/{uploadId}`."""
        created = self.created(upload)
        return {
            **created,
            "status": job.status,
            "createdAt": job.created_at.isoformat(),
            "picture": picture_html(created) if upload.visibility is Visibility.PUBLIC else None,
        }

    def page(self, page: Page) -> UploadPage:
        """Returns the JSON of `GET /images`."""
        return {"images": [self.upload(upload, job) for upload, job in page.uploads], "cursor": page.cursor}

    def status(self, upload: Upload, job: Job) -> Status:
        """Returns the JSON of `GET /images/{uploadId}/status`."""
        return {
            "uploadId": upload.upload_id,
            "status": job.status,
            "progress": job.progress,
            "error": job.error,
            "createdAt": job.created_at.isoformat(),
            "updatedAt": job.updated_at.isoformat(),
            "variants": {
                name: {
                    "state": known.state,
                    "bytes": known.bytes,
                    "milliseconds": known.milliseconds,
                    "quality": known.quality,
                    "score": known.score,
                }
                for name, known in upload.variants.items()
            },
        }

    def deletion(self, deletion: OwnerDeletion) -> Deletion:
        """Returns the JSON of `GET /images/deletions/{deletionId}`."""
        return {
            "deletionId": UploadId(deletion.deletion_id),
            "status": deletion.status,
            "statusUrl": f"{self._public_url}/images/deletions/{deletion.deletion_id}",
            "progress": deletion.progress,
            "total": deletion.total,
            "deleted": deletion.deleted,
            "failed": deletion.failed,
            "error": deletion.error,
            "createdAt": deletion.created_at.isoformat(),
            "updatedAt": deletion.updated_at.isoformat(),
        }

    def configured_sizes(self) -> ConfiguredSizes:
        """Returns the JSON of `GET /sizes`."""
        looks = look_numbers(self._sizes)
        return {
            "base": self._base,
            "sizes": {
                name: {
                    "width": size.width,
                    "height": size.height,
                    "fit": size.fit,
                    "mayBeSmaller": size.is_never_enlarged,
                    "effects": size.effects,
                    "look": looks[name],
                    "densities": list(DENSITIES),
                    "formats": list(size.formats),
                }
                for name, size in self._sizes.items()
            },
        }

    def upload_url(self, upload_id: UploadId) -> str:
        """Returns the URL of `GET /images/{uploadId}`. Never below CDN_URL: a CDN may serve variants only."""
        return f"{self._public_url}/images/{upload_id}"

    def largest_url(self, upload: Upload) -> str:
        """Returns the JPEG URL of the widest size, or PNG if it has no JPEG; preferably of one without effects."""
        sides = upload.width, upload.height
        offered = offered_sizes(self._sizes, *sides).values()
        size = max(
            offered,
            key=lambda size: (not visible_effects(size, *sides, animated=False), displayed_size(size, *sides)[0]),
        )
        return self._url(upload, size, size.fallback(alpha=False))

    def _privacy(self, private: PrivateMetadata | None) -> Privacy | None:
        """Returns the kinds of private metadata that variants lose and keep with these settings; None if unknown."""
        if private is None:
            return None
        kept = [] if self._strip_metadata else private.in_exif
        return {"removed": [kind for kind in private.found if kind not in kept], "kept": kept}

    def _urls(self, upload: Upload, size: Size) -> dict[str, str]:
        return {format.value: self._url(upload, size, format) for format in size.formats}

    def _url(self, upload: Upload, size: Size, format: Format) -> str:
        return self._base + variant_path(upload.upload_id, Variant(size, format, visibility=upload.visibility))


def _dimensions(size: Size, upload: Upload) -> DisplayedSize:
    width, height = displayed_size(size, upload.width, upload.height)
    document: DisplayedSize = {"width": width, "height": height}
    if effects := visible_effects(size, upload.width, upload.height, animated=upload.animated):
        document["effects"] = effects
    return document
