"""Encodes frames to an animated WebP, one at a time."""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO

from PIL import Image, ImageStat, _webp

_METHOD, _FAST_METHOD = 2, 0
"""libwebp's effort for lossy frames. 4, as of still images, takes twice the time of 2 for 4 % fewer bytes; 0 takes half
the time of 2, for a third more bytes."""

_MAX_PIXELS = 5_000_000
"""Pixels of all frames together up to which the greater effort is made: 0.6 s of processor time."""

_FEW_COLORS = 4096
_LOSSLESS_METHOD, _LOSSLESS_EFFORT = 2, 20
"""As quick as lossy frames. libwebp's own choice between both (its mixed mode) takes up to 4 s for a megapixel."""

_KEY_FRAMES = 9, 17
"""The fewest and the most frames from one whole frame (key frame) to the next: fewer bytes than with libwebp's
default."""

_ALPHA_QUALITY = 100  # without loss


class AnimationEncoder:
    """Encodes lossy frames, or lossless ones where these are smaller, as for drawings.

    libwebp holds two canvases and the encoded frames. Pillow's own `save` would hold all frames before it encodes one.
    """

    def __init__(self, size: tuple[int, int], frames: int, loops: int, quality: int) -> None:
        """`size`: of all frames, in pixels. `frames`: how many there are at most, which decides the encoder's effort.

        `loops`: how often the animation is shown, 0 for ever.
        """
        method = _METHOD if frames * size[0] * size[1] <= _MAX_PIXELS else _FAST_METHOD
        self._lossy = (quality, _ALPHA_QUALITY, method)
        self._may_be_lossless: bool | None = None
        self._end = Fraction(0)
        self._fill: Sequence[int] | None = None
        self._encoder = _webp.WebPAnimEncoder(size, 0, loops, False, *_KEY_FRAMES, False, False)
        self.frames = 0

    def add(self, image: Image.Image, milliseconds: Fraction) -> None:
        """Adds a frame (L, LA, RGB or RGBA). Fully transparent pixels are black."""
        frame = self._fill_transparent(image) if image.mode in ("LA", "RGBA") else image.convert("RGB")
        has_few_colors = frame.getcolors(_FEW_COLORS) is not None
        if self._may_be_lossless is None:
            self._may_be_lossless = has_few_colors and self._is_smaller_lossless(frame)
        self._put(frame, lossless=self._may_be_lossless and has_few_colors)
        self._end += milliseconds  # the sum is rounded: sixty frames of a sixtieth of a second take a second
        self.frames += 1

    def finish(self, exif: bytes | None, profile: bytes | None) -> bytes:
        """Returns the file, with `exif` and `profile` if given. Raises OSError."""
        self._put(None, lossless=False)
        body: bytes | None = self._encoder.assemble(profile or "", exif or "", "")
        if body is None:
            raise OSError("the animation could not be encoded")
        return body

    def _put(self, frame: Image.Image | None, *, lossless: bool) -> None:
        effort = (_LOSSLESS_EFFORT, _ALPHA_QUALITY, _LOSSLESS_METHOD) if lossless else self._lossy
        self._encoder.add(frame and frame.getim(), round(self._end), lossless, *effort)

    def _is_smaller_lossless(self, frame: Image.Image) -> bool:
        """Whether lossless frames are smaller. Tries both on the first frame, as for still images."""
        lossless, lossy = BytesIO(), BytesIO()
        frame.save(lossless, "WEBP", lossless=True, quality=_LOSSLESS_EFFORT, method=_LOSSLESS_METHOD)
        frame.save(lossy, "WEBP", quality=self._lossy[0], method=self._lossy[2])
        return len(lossless.getvalue()) <= len(lossy.getvalue())

    def _fill_transparent(self, image: Image.Image) -> Image.Image:
        """Gives transparent pixels one colour, the mean of the first visible ones: it may bleed into the edges."""
        image = image.convert("RGBA")
        visible = image.getchannel("A").point([0] + [255] * 255)
        if self._fill is None:
            if visible.getbbox() is None:
                return image
            self._fill = [round(value) for value in ImageStat.Stat(image.convert("RGB"), visible).mean]
        canvas = Image.new("RGBA", image.size, (*self._fill, 0))
        canvas.paste(image, mask=visible)
        return canvas
