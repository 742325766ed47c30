"""The printed path rules accept exactly the paths that the origin serves."""

import re
from uuid import uuid4

import pytest
import yaml

from ingest.edge import rules
from ingest.uploads.multipart import MAX_OTHER_BYTES
from proxy.model import Fit, Format, Size, Sizes

SIZES = Sizes(*(Size(name, 10, 10, Fit.COVER) for name in ("card", "card-2", "x", "w32", "w320")))
UPLOAD = str(uuid4())
NAMES = [
    *(f"{name}{at}.{format}" for name in SIZES for at in ("", "@2x", "@3x") for format in Format),
    *("card@1x.jpg", "card@4x.jpg", "card-.jpg", "car.jpg", "card-22.jpg", "xx.jpg", "card.gif", "card", "small.jpg"),
    *("w3.jpg", "w3200.jpg", "w320@1x.jpg"),
    *("card.jpgx", ".jpg", "card..jpg", "CARD.jpg", "card@2x@2x.jpg", "card.jpg.jpg"),
]


def nginx_pattern(variable: str) -> re.Pattern[str]:
    [pattern] = re.findall(rf'^    "~(.*)" \${variable};$', rules.nginx(SIZES, 10), re.MULTILINE)
    return re.compile(pattern.replace("(?<", "(?P<"), re.ASCII)


def function_pattern(*, private: bool = False) -> re.Pattern[str]:
    [pattern] = re.findall(r"^const VARIANT = /(.*)/;$", rules.cloudfront(SIZES, private=private), re.MULTILINE)
    return re.compile(pattern, re.ASCII)


@pytest.mark.parametrize("name", NAMES)
def test_rules_accept_every_variant_of_the_origin(name: str) -> None:
    path = f"/images/{UPLOAD}/{name}"
    known = SIZES.parse(name) is not None

    assert bool(nginx_pattern("variant_path").search(path)) is known
    assert bool(function_pattern().search(path)) is known
    assert bool(nginx_pattern("variant_path").search(path.replace("/images", "/private"))) is known
    assert bool(function_pattern(private=True).search(path.replace("/images", "/private"))) is known


@pytest.mark.parametrize("extension", ["auto", "jpeg"])
def test_rules_accept_auto_and_jpeg(extension: str) -> None:
    path = f"/images/{UPLOAD}/card@2x.{extension}"

    variable = {"auto": r"variant_stem.\$negotiated", "jpeg": r"jpeg_name.jpg"}[extension]
    assert nginx_pattern(variable).search(path)
    assert function_pattern().search(path)


def test_auto_of_animated_sizes_alone_prefers_webp() -> None:
    sizes = Sizes(Size("card", 10, 10, Fit.COVER), Size("card-2", 10, 10, Fit.COVER, animated=True))
    [pattern] = re.findall(r'"~(.*)" \$animated_stem\.\$negotiated_animation;', rules.nginx(sizes, 10))
    in_nginx = re.compile(pattern.replace("(?<", "(?P<"), re.ASCII)
    [in_function] = re.findall(r"^const ANIMATED = /(.*)/;$", rules.cloudfront(sizes), re.MULTILINE)

    for name, animated in {
        "card": False,
        "card@2x": False,
        "card-2": True,
        "card-2@3x": True,
        "card-2@4x": False,
    }.items():
        assert bool(in_nginx.search(f"/images/{UPLOAD}/{name}.auto")) is animated
        assert bool(re.search(in_function, f"{name}.")) is animated
    assert "animated_stem" not in rules.nginx(SIZES, 10)


def test_formats_that_a_size_lacks_are_rejected_unless_they_are_to_be_forgotten() -> None:
    formats = {"all": [*Format], "icon": [Format.PNG, Format.WEBP], "icon-2": [Format.PNG], "page": [Format.JPG]}
    sizes = Sizes(*(Size(name, 9, 9, Fit.COVER, formats=tuple(has)) for name, has in formats.items()))
    [in_nginx] = re.findall(r'^    "~(.*)" yes;', rules.nginx(sizes, 10), re.MULTILINE)
    [in_function] = re.findall(r"^const LACKED = /(.*)/;", rules.cloudfront(sizes), re.MULTILINE)

    for name, has in formats.items():
        for extension in (*Format, "jpeg", "auto"):
            lacks = extension != "auto" and extension.replace("jpeg", "jpg") not in has
            path = f"/private/{UPLOAD}/{name}@2x.{extension}?token=x"
            assert bool(re.search(in_nginx, path)) is lacks, (name, extension)
            assert not re.search(in_nginx, f"yes{path}")
            assert bool(re.search(in_function, f"{name}@2x.{extension}")) is lacks, (name, extension)


def test_rules_of_sizes_with_all_formats_have_no_patterns_that_match_nothing() -> None:
    assert "(?!)" not in rules.nginx(SIZES, 10)
    assert '"";' not in rules.nginx(SIZES, 10).replace('default "";', "")


@pytest.mark.parametrize(("max_upload_mb", "limit"), [(10, "11m"), (100, "101m")])
def test_nginx_accepts_the_largest_upload_with_its_form(max_upload_mb: int, limit: str) -> None:
    assert re.findall(r"^client_max_body_size (\w+);", rules.nginx(SIZES, max_upload_mb), re.MULTILINE) == [limit]
    assert MAX_OTHER_BYTES < 1 << 20


def test_no_placeholder_is_left() -> None:
    for text in (rules.nginx(SIZES, 10), rules.cloudfront(SIZES), rules.cloudfront(SIZES, private=True)):
        assert not re.search(r"%[A-Z_]+%", text)


TEMPLATE = """Resources:
  Other:
    FunctionCode: |
      other();
  Edge:
    Type: x
    FunctionCode: |
      old();

      old();
    Name: x
  PrivateEdge:
    FunctionCode: |
      older();
"""


def test_template_gets_both_functions() -> None:
    filled = yaml.safe_load(rules.fill_template(TEMPLATE, SIZES))["Resources"]

    assert filled == {
        "Other": {"FunctionCode": "other();\n"},
        "Edge": {"Type": "x", "FunctionCode": rules.cloudfront(SIZES), "Name": "x"},
        "PrivateEdge": {"FunctionCode": rules.cloudfront(SIZES, private=True)},
    }


@pytest.mark.parametrize("resource", ["Edge", "PrivateEdge"])
def test_template_without_a_function_raises(resource: str) -> None:
    with pytest.raises(ValueError, match=f"FunctionCode.*`{resource}`"):
        rules.fill_template(TEMPLATE.replace(f"  {resource}:\n", "  Another:\n"), SIZES)


def test_template_without_base_path_raises() -> None:
    with pytest.raises(ValueError, match="BasePath"):
        rules.fill_template(TEMPLATE, SIZES, "/media")
