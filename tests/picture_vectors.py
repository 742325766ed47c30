"""`clients/vectors/pictures.json`: the server's descriptions of uploads of many dimensions, for the clients' tests.

`python -m tests.picture_vectors` writes it again after a change of the `<picture>` element or of the geometry.
"""

import json
from pathlib import Path
from typing import Any

from darkroom import picture_html
from ingest.serialization.serializers import Serializer
from proxy.model import Fit, Format, Position, Size, Sizes
from tests.unit.ingest.examples import accepted

FILE = Path(__file__).parents[1] / "clients" / "vectors" / "pictures.json"
ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
SIZES = Sizes(
    Size("small", 150, 150, Fit.COVER),
    Size("large", 800, 800, Fit.COVER, position=Position.FOCUS),
    Size("banner", 601, 200, Fit.COVER, enlarge=False, position=Position.ATTENTION),
    Size("square", 300, 300, Fit.COVER, enlarge=False),
    Size("tile", 400, 400, Fit.PAD, background="#00ff00"),
    Size("grey", 500, None, Fit.INSIDE, grayscale=True, blur=2.5),
    Size("tall", None, 333, Fit.INSIDE),
    Size("box", 700, 500, Fit.INSIDE),
    Size("clip", 320, None, Fit.INSIDE, animated=True),
    Size("icon", 75, 75, Fit.COVER, formats=(Format.PNG, Format.WEBP)),
    Size("tiny", 50, 50, Fit.COVER, formats=(Format.JPG,)),
    Size("page", None, 700, Fit.INSIDE, formats=(Format.JPG, Format.WEBP)),
    Size("sharp", 1280, None, Fit.INSIDE, sharpen=0.5),
    *(Size(f"w{width}", width, None, Fit.INSIDE) for width in (320, 640, 1280)),
)
DIMENSIONS = (
    *((800, 800), (601, 200), (300, 300), (400, 300), (640, 427), (1280, 720), (4032, 3024), (3024, 4032)),
    *(
        (100, 100),
        (101, 9999),
        (9999, 101),
        (320, 101),
        (1001, 333),
        (667, 1001),
        (639, 640),
        (1919, 1079),
        (240, 2000),
    ),
    *((640, 1), (1, 640), (128, 101), (1280, 1001), (256, 203)),  # halves, which round to the even number
)


def make() -> dict[str, Any]:
    serializer, cases = Serializer(SIZES, "https://cdn.example.com"), []
    for number, (width, height) in enumerate(DIMENSIONS):
        animated = number % 4 == 1
        created = serializer.created(accepted(ID, width=width, height=height, alpha=number % 3 == 2, animated=animated))
        cases.append(
            {
                "dimensions": created["dimensions"],
                "animated": animated,
                "placeholder": created["placeholder"],
                "sizes": created["sizes"],
                "offered": {name: " ".join(formats) for name, formats in created["urls"].items()},
                "picture": picture_html(created, "50vw", alt='A "cat" & <b>', size=[*SIZES][number % len(SIZES)]),
                "size": [*SIZES][number % len(SIZES)],
                "widest": picture_html(created),
            }
        )
    return {"uploadId": ID, "configured": serializer.configured_sizes(), "cases": cases}


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
