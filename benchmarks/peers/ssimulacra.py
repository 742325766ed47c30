"""Computes SSIMULACRA2 of files against a reference. Runs in the environment of tools.txt; one JSON line in, one out.

It uses parts of the package `ssimulacra2`, for three reasons. The reference is prepared once for all files. Transparent
images are scored over dark and over light grey, and the lower score counts, as in the original program. If an image is
too small for all six scales (150 px), each scale keeps its own weights; the package's loop shifts them, and its scores
are about 14 points too low.
"""

import json
import sys
from typing import Any

import numpy as np
import ssimulacra2.ssimulacra2 as parts
from PIL import Image

SCALES, LEAST_SIDE = 6, 8
LINEAR = parts.srgb_to_linear(np.arange(256, dtype=np.float64))
GREYS = (26, 230)


class Reference:
    """All values that depend on the reference only."""

    def __init__(self, pixels: Any) -> None:
        self._scales = []
        for xyb in scales(pixels):
            self._scales.append((xyb, parts.blur_image(xyb), parts.blur_image(xyb * xyb)))

    def score(self, pixels: Any) -> float:
        result = parts.Msssim()
        for (one, mean, square), other in zip(self._scales, scales(pixels), strict=True):
            other_mean = parts.blur_image(other)
            scale = parts.MsssimScale()
            scale.avg_ssim = parts.ssim_map(
                mean, other_mean, square, parts.blur_image(other * other), parts.blur_image(one * other)
            )
            scale.avg_edgediff = parts.edge_diff_map(one, mean, other, other_mean)
            result.scales.append(scale)
        result.scales += [parts.MsssimScale() for _ in range(SCALES - len(result.scales))]
        return float(result.score())


def scales(pixels: Any) -> Any:
    linear = LINEAR[pixels]
    for _ in range(SCALES):
        xyb = parts.make_positive_xyb(parts.linear_rgb_to_xyb(linear))
        if min(xyb.shape[:2]) < LEAST_SIDE:
            return
        yield xyb
        linear = parts.downsample(linear, 2, 2)


def over_grey(path: str, grey: int) -> Any:
    with Image.open(path) as image:
        shown = image.convert("RGBA")
    canvas = Image.new("RGBA", shown.size, (grey, grey, grey, 255))
    return np.asarray(Image.alpha_composite(canvas, shown).convert("RGB"))


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        with Image.open(request["reference"]) as image:
            greys = GREYS if image.mode == "RGBA" else GREYS[:1]
        references = [(grey, Reference(over_grey(request["reference"], grey))) for grey in greys]
        scores = [min(one.score(over_grey(file, grey)) for grey, one in references) for file in request["files"]]
        print(json.dumps({"scores": scores}), flush=True)


if __name__ == "__main__":
    main()
