"""`Accept` headers for both edges: the table that the origin's tests share, and random combinations."""

import json
import random
from pathlib import Path
from typing import Any

NEGOTIATION: list[dict[str, Any]] = json.loads((Path(__file__).parent / "negotiation.json").read_text())
_RANGES = ("image/avif", "image/webp", "image/jpeg", "image/png", "image/*", "*/*", "text/html", "IMAGE/AVIF", "")
_WEIGHTS = ("", ";q=0", ";q=1", "; q=0.5", " ;q=0.9", ";q=0.001", ";q=2", ";Q=0.3", ";p=x;q=0.7", ";q=0.5;p=x", ";q=")


def random_accepts(count: int) -> list[str]:
    """The same headers in each run."""
    rng = random.Random(1)
    return [
        rng.choice([",", ", "]).join(rng.choice(_RANGES) + rng.choice(_WEIGHTS) for _ in range(rng.randint(0, 5)))
        for _ in range(count)
    ]
