"""An upload, and the parts of its `<picture>` element."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from ingest.records import Job, JobStatus
from ingest.serialization.serializers import Serializer
from proxy.model import Fit, Size, Sizes
from tests.unit.ingest.examples import accepted

DEFAULT = Sizes(
    *(Size(name, side, side, Fit.COVER) for name, side in (("small", 150), ("medium", 400), ("large", 800)))
)


IMAGE = accepted(width=640, height=427)


ID = IMAGE.upload_id


@dataclass
class Element(HTMLParser):
    """Returns tags with their attributes, in order. Fails on unbalanced tags."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in ("source", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        raise AssertionError(f"text in a picture: {data}")


def picture_of(sizes: Sizes = DEFAULT, *, base: str = "", width: int = 640, height: int = 427) -> Element:
    upload = accepted(ID, width=width, height=height)
    job = Job(ID, JobStatus.PENDING, 0, None, upload.created_at, upload.created_at)
    return Element(Serializer(sizes, base).upload(upload, job)["picture"])


def candidates(srcset: str | None) -> list[tuple[str, int]]:
    """Parses a srcset to URLs with widths; no URL may contain a comma."""
    assert srcset
    pairs = [candidate.split() for candidate in srcset.split(", ")]
    assert all(width.endswith("w") for _, width in pairs)
    return [(url, int(width[:-1])) for url, width in pairs]


def names(element: Element) -> list[str]:
    """The sizes in the fallback's srcset."""
    return [url.split("/")[-1].removesuffix(".jpg") for url, _ in candidates(element.tags[-1][1]["srcset"])]
