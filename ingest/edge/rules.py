"""The edge's path rules for exactly the configured sizes and formats: an nginx include, a CloudFront function.

Both reject every other spelling at the edge and resolve `.auto` from `Accept` to a format that the size has: for
animated sizes to WebP rather than AVIF, as they do not know which originals are animations. nginx also limits the size
of uploads.
"""

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from proxy.model import DENSITIES, UPLOAD_ID, Format, Size, Sizes

_NOTHING = "(?!)"  # matches nothing
_FOLDER = Path(__file__).parent
_PATH = re.compile(r'^( *BasePath:\n(?: +.*\n)*? +Default: )""$', re.MULTILINE)
_CODE = r"(^  %s:\n(?:    .*\n)*?)( *)FunctionCode: \|\n(?:\2 +.*\n|\n)+"
"""Matches the code of a function's resource. Groups: the text before the code, and the code's indentation."""


def nginx(sizes: Sizes, max_upload_mb: int) -> str:
    """Returns the file that `nginx.conf` includes.

    `max_upload_mb`: MiB of the image file; nginx accepts a request of one MiB more, for the form around the file.
    """
    lines = _fill("variants.conf", sizes).replace("%MAX_BODY%", f"{max_upload_mb + 1}m").splitlines()
    return "".join(f"{line}\n" for line in lines if _NOTHING not in line)  # nginx tries each pattern for each request


def cloudfront(sizes: Sizes, base_path: str = "", *, private: bool = False) -> str:
    """Returns the function that CloudFront runs for each viewer request. It removes `base_path`, such as `/media`.

    `private`: the one for requests for private variants, which also verifies their tokens.
    """
    handler = _fill("private_function.js" if private else "function.js", sizes)
    return f"{handler}\n{_fill('function_parts.js', sizes)}".replace("%BASE_PATH%", json.dumps(base_path))


def fill_template(template: str, sizes: Sizes, base_path: str = "") -> str:
    """Returns the CloudFormation template with both functions, and `base_path` as the parameter's default value.

    Raises ValueError if the template has no place for them.
    """
    if base_path:
        template, found = _PATH.subn(lambda match: match[1] + json.dumps(base_path), template)
        if not found:
            raise ValueError('the template has no parameter `BasePath` with `Default: ""`')
    for resource, private in (("Edge", False), ("PrivateEdge", True)):
        function = cloudfront(sizes, base_path, private=private)
        template, found = re.subn(_CODE % resource, partial(_with_code, function), template, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"the template has no `FunctionCode: |` in `{resource}`")
    return template


def _with_code(function: str, found: re.Match[str]) -> str:
    indent = found[2] + "  "
    lines = (f"{indent}{line}" if line else "" for line in function.splitlines())
    return f"{found[1]}{found[2]}FunctionCode: |\n" + "\n".join(lines) + "\n"


def _fill(name: str, sizes: Sizes) -> str:
    lacking = {format: [size for size in sizes.values() if format not in size.formats] for format in Format}
    no_avif, no_webp = lacking[Format.AVIF], lacking[Format.WEBP]
    extensions = {Format.JPG: "jpe?g"}
    lacked = [f"{_names(found)}[.]{extensions.get(format, format)}" for format, found in lacking.items() if found]
    values = {
        "UPLOAD_ID": UPLOAD_ID,
        "SIZE": _names(sizes.values()),
        "ANIMATED": _names(size for size in sizes.values() if size.animated),
        "WITHOUT_BOTH": _names(size for size in no_avif if size in no_webp),
        "WITHOUT_AVIF": _names(size for size in no_avif if size not in no_webp),
        "WITHOUT_WEBP": _names(size for size in no_webp if size not in no_avif),
        "FORMAT": "|".join(Format),
        "LACKED": f"(?:{'|'.join(lacked) or _NOTHING})",
    }
    text = (_FOLDER / name).read_text()
    for key, value in values.items():
        text = text.replace(f"%{key}%", value)
    return text


def _names(sizes: Iterable[Size]) -> str:
    """Returns a pattern of the names of the sizes at every density."""
    densities = "".join(str(density) for density in DENSITIES if density > 1)
    return f"(?:{'|'.join(size.name for size in sizes) or _NOTHING})(?:@[{densities}]x)?"
