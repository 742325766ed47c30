"""The edge's path rules for exactly the configured sizes and formats: an nginx include, a CloudFront function.

Both reject every other spelling at the edge and resolve `.auto` from `Accept`. nginx also limits the size of uploads.
"""

import re
from pathlib import Path

from proxy.model import DENSITIES, UPLOAD_ID, Format, Sizes

_FOLDER = Path(__file__).parent
_CODE = re.compile(r"^( *)FunctionCode: \|\n(?:\1 +.*\n|\n)+", re.MULTILINE)


def nginx(sizes: Sizes, max_upload_mb: int) -> str:
    """Returns the file that `nginx.conf` includes.

    `max_upload_mb`: MiB; nginx accepts one more, for the form around the file.
    """
    return _fill("variants.conf", sizes).replace("%MAX_BODY%", f"{max_upload_mb + 1}m")


def cloudfront(sizes: Sizes) -> str:
    """Returns the function that CloudFront runs for each viewer request."""
    return _fill("function.js", sizes)


def insert_function(template: str, function: str) -> str:
    """Returns the CloudFormation template with its `FunctionCode` replaced. Raises ValueError if it has none."""
    match = _CODE.search(template)
    if match is None:
        raise ValueError("the template has no `FunctionCode: |`")
    indent = match[1] + "  "
    lines = (f"{indent}{line}" if line else "" for line in function.splitlines())
    block = f"{match[1]}FunctionCode: |\n" + "\n".join(lines) + "\n"
    return template[: match.start()] + block + template[match.end() :]


def _fill(name: str, sizes: Sizes) -> str:
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
