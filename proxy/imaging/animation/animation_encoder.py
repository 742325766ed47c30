"""Encodes frames to an animated WebP, one at a time."""

from collections.abc import Sequence
from fractions import Fraction

from PIL import Image, ImageStat, _webp

_METHOD, _FAST_METHOD = 2, 0
"""libwebp's effort. 4, as of still images, takes twice the time of 2 for 4 % fewer bytes; 0 takes half of it, for a
third more bytes."""

_MAX_PIXELS = 5_000_000
"""Pixels of all frames together up to which the greater effort is made: 0.6 s of processor time."""

_KEY_FRAMES = 9, 17
"""The least and the most frames from one that is whole to the next: fewer bytes than the library's default."""

_ALPHA_QUALITY = 100  # without loss


class AnimationEncoder:
    """Encodes to lossy frames, or lossless ones of few colours. libwebp holds two canvases, and the encoded frames.

    Pillow's own `save` would hold all frames before it encodes the first one.
    """

    def __init__(self, size: tuple[int, int], frames: int, loops: int, quality: int) -> None:
        """`size`: of all frames, in pixels. `frames`: how many there are at most, which decides the encoder's effort.

        `loops`: how often the animation is shown, 0 for ever.
        """
        self._quality = quality
        self._method = _METHOD if frames * size[0] * size[1] <= _MAX_PIXELS else _FAST_METHOD
        self._end = Fraction(0)
        self._fill: Sequence[int] | None = None
        self._encoder = _webp.WebPAnimEncoder(size, 0, loops, False, *_KEY_FRAMES, True, False)
        self.frames = 0

    def add(self, image: Image.Image, milliseconds: Fraction) -> None:
        """Adds a frame (L, LA, RGB or RGBA). Fully transparent pixels are black."""
        frame = self._fill_transparent(image) if image.mode in ("LA", "RGBA") else image.convert("RGB")
        self._encoder.add(frame.getim(), round(self._end), False, self._quality, _ALPHA_QUALITY, self._method)
        self._end += milliseconds  # rounded in sum: frames of a sixtieth of a second take a second together
        self.frames += 1

    def finish(self, exif: bytes | None) -> bytes:
        """Returns the file, with `exif` if given. Raises OSError."""
        self._encoder.add(None, round(self._end), False, self._quality, _ALPHA_QUALITY, 0)
        body: bytes | None = self._encoder.assemble("", exif or "", "")
        if body is None:
            raise OSError("the animation could not be encoded")
        return body

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
