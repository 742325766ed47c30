"""The JSON that callers see, and the `<picture>` that they may paste. Shapes only; no decisions."""

from html import escape

from ingest.catalog.repository import Page
from ingest.jobs import Image, Job, JobStatus
from ingest.web.shapes import Accepted, Status, Upload, UploadPage
from proxy.keys import variant_path
from proxy.model import Fit, Format, Size, Sizes, UploadId, Variant


class Documents:
    """Renders uploads for the configured sizes. URLs begin with `base`, or are paths where it is empty."""

    def __init__(self, sizes: Sizes, base: str) -> None:
        self._sizes = sizes
        self._base = base

    def created(self, image: Image) -> Accepted:
        return {
            "uploadId": image.upload_id,
            "originalSize": image.original_size,
            "dimensions": {"width": image.width, "height": image.height},
            "format": image.format,
            "status": JobStatus.PENDING,
            "statusUrl": f"/images/{image.upload_id}/status",
            "urls": self._urls(image.upload_id),
            "placeholder": {"thumbhash": image.thumbhash, "color": image.color},
        }

    def upload(self, image: Image, job: Job) -> Upload:
        return {
            **self.created(image),
            "status": job.status,
            "createdAt": job.created_at.isoformat(),
            "picture": self._picture(image),
        }

    def page(self, page: Page) -> UploadPage:
        return {"images": [self.upload(image, job) for image, job in page.uploads], "cursor": page.cursor}

    def status(self, image: Image, job: Job) -> Status:
        return {
            "uploadId": image.upload_id,
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
                for name, known in image.variants.items()
            },
        }

    def largest(self, image: Image) -> str:
        """The URL of the size that shows most of it, as JPEG."""
        size = max(self._sizes.values(), key=lambda size: shown(size, image)[0])
        return self._url(image.upload_id, Variant(size, Format.JPG))

    def _urls(self, upload_id: UploadId) -> dict[str, dict[str, str]]:
        return {
            name: {format.value: self._url(upload_id, Variant(size, format)) for format in Format}
            for name, size in self._sizes.items()
        }

    def _url(self, upload_id: UploadId, variant: Variant) -> str:
        return self._base + variant_path(upload_id, variant)

    def _picture(self, image: Image) -> str:
        """All sizes of the largest one's shape, each format as a source, JPEG for the rest."""
        boxes = {name: shown(size, image) for name, size in self._sizes.items()}
        largest = max(boxes, key=lambda name: boxes[name][0])
        width, height = boxes[largest]
        same_shape = {
            w: name for name, (w, h) in boxes.items() if abs(w * height - h * width) <= max(w, h, width, height)
        }
        family = [same_shape[w] for w in sorted(same_shape)]
        sources = "".join(
            f'<source type="{format.media_type}" srcset="{self._srcset(image, family, format, boxes)}" sizes="100vw">'
            for format in (Format.AVIF, Format.WEBP)
        )
        fallback = escape(self.largest(image))
        return (
            f"<picture>{sources}"
            f'<img src="{fallback}" srcset="{self._srcset(image, family, Format.JPG, boxes)}" sizes="100vw"'
            f' width="{width}" height="{height}" alt="" loading="lazy" decoding="async"'
            f' style="background-color:{image.color}"></picture>'
        )

    def _srcset(self, image: Image, names: list[str], format: Format, boxes: dict[str, tuple[int, int]]) -> str:
        urls = ((self._url(image.upload_id, Variant(self._sizes[name], format)), boxes[name][0]) for name in names)
        return escape(", ".join(f"{url} {width}w" for url, width in urls))


def shown(size: Size, image: Image) -> tuple[int, int]:
    """Width and height, in pixels, at which a size shows this picture."""
    if size.fit is Fit.COVER and size.width and size.height:
        return size.width, size.height
    scale = min(1.0, (size.width or image.width) / image.width, (size.height or image.height) / image.height)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))
