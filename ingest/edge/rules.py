"""The edge's path rules for exactly the configured sizes and formats: an nginx include, a CloudFront function.

Both reject every other spelling at the edge and resolve `.auto` from `Accept`. nginx also limits the size of uploads.
"""

import json
import re
from pathlib import Path

from proxy.model import DENSITIES, UPLOAD_ID, Format, Sizes

_FOLDER = Path(__file__).parent
_PATH = re.compile(r'^( *BasePath:\n(?: +.*\n)*? +Default: )""$', re.MULTILINE)
_CODE = re.compile(r"^( *)FunctionCode: \|\n(?:\1 +.*\n|\n)+", re.MULTILINE)


def nginx(sizes: Sizes, max_upload_mb: int) -> str:
    """Returns the file that `nginx.conf` includes.

    `max_upload_mb`: MiB; nginx accepts one more, for the form around the file.
    """
    return _fill("variants.conf", sizes).replace("%MAX_BODY%", f"{max_upload_mb + 1}m")


def cloudfront(sizes: Sizes, base_path: str = "") -> str:
    """Returns the function that CloudFront runs for each viewer request. It removes `base_path`, such as `/media`."""
    return _fill("function.js", sizes).replace("%BASE_PATH%", json.dumps(base_path))


def fill_template(template: str, function: str, base_path: str = "") -> str:
    """Returns the CloudFormation template with this `FunctionCode`, and `base_path` as the parameter's default value.

    Raises ValueError if the template has no place for them.
    """
    if base_path:
        template, found = _PATH.subn(lambda match: match[1] + json.dumps(base_path), template)
        if not found:
            raise ValueError('the template has no parameter `BasePath` with `Default: ""`')
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
