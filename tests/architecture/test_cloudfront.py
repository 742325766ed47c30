"""What can be held of deploy/cloudfront.yaml without an account: it is sound, and says what docs/deploy.md says."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.edge import rules
from proxy.keys import ORIGINALS_PREFIX, VARIANTS_PREFIX
from proxy.settings import Settings
from proxy.variants.encoded_variant import CACHE_CONTROL

PATH = Path(__file__).parents[2] / "deploy" / "cloudfront.yaml"


class _Loader(yaml.SafeLoader):
    """Takes `!Ref x` for `{"!Ref": "x"}`."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{tag}": loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {f"!{tag}": loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)
TEMPLATE: dict[str, Any] = yaml.load(PATH.read_text(), _Loader)
RESOURCES: dict[str, dict[str, Any]] = {name: each["Properties"] for name, each in TEMPLATE["Resources"].items()}
DISTRIBUTION: dict[str, Any] = RESOURCES["Distribution"]["DistributionConfig"]


def behaviour(path: str) -> dict[str, Any]:
    """The one that CloudFront takes for a path."""
    for each in DISTRIBUTION["CacheBehaviors"]:
        if fnmatchcase(path, each["PathPattern"]):
            return dict(each)
    return dict(DISTRIBUTION["DefaultCacheBehavior"])


def test_it_can_be_deployed_without_a_bucket_for_templates() -> None:
    assert PATH.stat().st_size <= 51_200
    assert len(RESOURCES["Edge"]["FunctionCode"].encode()) <= 10_240


def test_its_function_is_the_one_that_is_tested() -> None:
    assert RESOURCES["Edge"]["FunctionCode"] == (PATH.parent / "edge.js").read_text()
    assert RESOURCES["Edge"]["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


def test_the_command_puts_the_function_of_the_sizes_in_force_into_it() -> None:
    function = rules.cloudfront(Settings.model_construct().sizes)
    assert rules.insert_function(PATH.read_text(), function) == PATH.read_text()


@pytest.mark.parametrize("path", ["/images/{}/small.jpg", "/images/{}/medium@2x.avif", "/images/{}/large.auto"])
def test_pictures_come_from_the_bucket_or_else_from_the_proxy(path: str) -> None:
    chosen = behaviour(path)
    assert chosen["TargetOriginId"] == "bucket-then-proxy"
    assert chosen["AllowedMethods"] == ["GET", "HEAD"]
    assert (chosen["CachePolicyId"], chosen["Compress"]) == ({"!Ref": "Pictures"}, False)
    [group] = DISTRIBUTION["OriginGroups"]["Items"]
    assert [member["OriginId"] for member in group["Members"]["Items"]] == ["bucket", "proxy"]
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [403, 404, 500, 502, 503, 504]


@pytest.mark.parametrize(
    "path", ["/", "/images", "/images/upload", "/images/{}", "/images/{}/events", "/page/style.css"]
)
def test_the_rest_goes_to_ingest_and_is_not_kept(path: str) -> None:
    chosen = behaviour(path)
    assert (chosen["TargetOriginId"], chosen["Compress"]) == ("ingest", False)
    assert chosen["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert {"POST", "DELETE"} <= set(chosen["AllowedMethods"])


def test_every_request_passes_the_function() -> None:
    for each in (*DISTRIBUTION["CacheBehaviors"], DISTRIBUTION["DefaultCacheBehavior"]):
        [association] = each["FunctionAssociations"]
        assert association["EventType"] == "viewer-request"


def test_the_path_alone_is_the_key() -> None:
    policy = RESOURCES["Pictures"]["CachePolicyConfig"]
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert not key["EnableAcceptEncodingGzip"]
    assert not key["EnableAcceptEncodingBrotli"]
    assert f"max-age={policy['MaxTTL']}" in CACHE_CONTROL


def test_only_negotiated_answers_vary() -> None:
    def custom(path: str) -> Any:
        policy = behaviour(path)["ResponseHeadersPolicyId"]["!Ref"]
        return RESOURCES[policy]["ResponseHeadersPolicyConfig"].get("CustomHeadersConfig")

    assert custom("/images/x/small.jpg") is None
    assert custom("/images/x/small.auto") == {"Items": [{"Header": "Vary", "Value": "Accept", "Override": True}]}


@pytest.mark.promise("C7")
@pytest.mark.parametrize("name", ["small.jpg", "small.auto"])
def test_what_comes_from_the_bucket_is_taken_for_nothing_but_a_picture(name: str) -> None:
    policy = RESOURCES[behaviour(f"/images/x/{name}")["ResponseHeadersPolicyId"]["!Ref"]]
    headers = policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert headers["ContentSecurityPolicy"]["ContentSecurityPolicy"] == "default-src 'none'; sandbox"


def test_no_failure_is_kept() -> None:
    kept = {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in DISTRIBUTION["CustomErrorResponses"]}
    assert {500, 501, 502, 503, 504, 403, 404} <= kept.keys()
    assert set(kept.values()) == {0}


def test_the_distribution_reads_variants_and_nothing_else() -> None:
    allow, deny = RESOURCES["BucketPolicy"]["PolicyDocument"]["Statement"]
    assert allow["Action"] == "s3:GetObject"
    assert allow["Resource"] == {"!Sub": f"${{Bucket.Arn}}/{VARIANTS_PREFIX}*"}
    assert "AWS:SourceArn" in allow["Condition"]["StringEquals"]
    assert deny["Effect"] == "Deny"
    assert set(RESOURCES["Bucket"]["PublicAccessBlockConfiguration"].values()) == {True}


def test_variants_expire_and_originals_never_do() -> None:
    assert TEMPLATE["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"
    rules = RESOURCES["Bucket"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    cooling = {rule["Prefix"] for rule in rules if "Transitions" in rule}
    assert (expiring, cooling) == ({VARIANTS_PREFIX}, {ORIGINALS_PREFIX})


def test_tags_are_read_where_both_origins_send_them() -> None:
    assert DISTRIBUTION["CacheTagConfig"] == {"HeaderName": "x-amz-meta-cache-tag"}
