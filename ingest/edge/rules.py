"""The edge's path rules for exactly the configured sizes and formats: an nginx include, a CloudFront function.

Both refuse every other spelling before the origin hears of it, and resolve `.auto` from `Accept`.
"""

import re
from pathlib import Path

from proxy.model import DENSITIES, UPLOAD_ID, Format, Sizes

_FOLDER = Path(__file__).parent
_CODE = re.compile(r"^( *)FunctionCode: \|\n(?:\1 +.*\n|\n)+", re.MULTILINE)


def nginx(sizes: Sizes) -> str:
    """What `nginx.conf` includes."""
    return _filled("variants.conf", sizes)


def cloudfront(sizes: Sizes) -> str:
    """The function that CloudFront runs for each viewer's request."""
    return _filled("function.js", sizes)


def in_template(template: str, function: str) -> str:
    """A CloudFormation template with `function` for the code that stands in it."""
    match = _CODE.search(template)
    if match is None:
        raise ValueError("no `FunctionCode: |` in it")
    indent = match[1] + "  "
    lines = (f"{indent}{line}" if line else "" for line in function.splitlines())
    block = f"{match[1]}FunctionCode: |\n" + "\n".join(lines) + "\n"
    return template[: match.start()] + block + template[match.end() :]


def _filled(name: str, sizes: Sizes) -> str:
    densities = "".join(str(density) for density in DENSITIES if density > 1)
    values = {
        "UPLOAD_ID": UPLOAD_ID,
        "SIZE": f"(?:{'|'.join(sizes)})(?:@[{densities}]x)?",
        "FORMAT": "|".join(Format),
    }
    text = (_FOLDER / name).read_text()
    for key, value in values.items():
        text = text.replace(f"%{key}%", value)
    return text
