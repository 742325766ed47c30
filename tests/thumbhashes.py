"""ThumbHashes of images, in base64 as in the API."""

from base64 import b64encode

from PIL import Image

from proxy.imaging.thumbhash import thumbhash
from tests.pictures import disc


def opaque(picture: Image.Image) -> str:
    small = picture.convert("RGBA")
    small.thumbnail((32, 32))
    return b64encode(thumbhash(small)).decode()


def transparent() -> str:
    return opaque(disc((200, 30, 30)))
