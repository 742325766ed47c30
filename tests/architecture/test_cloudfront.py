"""Checks of deploy/cloudfront.yaml without an AWS account: it is consistent, and as docs/deploy.md describes it."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.edge import rules
from proxy.keys import (
    FIELDS_PREFIX,
    INSTALLATION_KEY,
    INVALIDATIONS_KEY,
    ORIGINALS_PREFIX,
    TRASH_PREFIX,
    VARIANTS_PREFIXES,
)
from proxy.settings import Settings
from proxy.variants.encoded_variant import CACHE_CONTROL, MAX_PRIVATE_AGE
from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS

PATH = Path(__file__).parents[2] / "deploy" / "cloudfront.yaml"


class _Loader(yaml.SafeLoader):
    """Loads `!Ref x` as `{"!Ref": "x"}`."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{tag}": loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {f"!{tag}": loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)
TEMPLATE: dict[str, Any] = yaml.load(PATH.read_text(), _Loader)
RESOURCES: dict[str, dict[str, Any]] = {name: each["Properties"] for name, each in TEMPLATE["Resources"].items()}
DISTRIBUTION: dict[str, Any] = RESOURCES["Distribution"]["DistributionConfig"]


BEHAVIOURS = [each["!If"][1] if "!If" in each else each for each in DISTRIBUTION["CacheBehaviors"]]


def behaviour(path: str) -> dict[str, Any]:
    """Returns the cache behaviour that CloudFront selects for a path."""
    for each in BEHAVIOURS:
        if fnmatchcase(path, each["PathPattern"]["!Sub"].replace("${BasePath}", "")):
            return dict(each)
    return dict(DISTRIBUTION["DefaultCacheBehavior"])


def test_template_fits_the_limit_of_direct_deployment() -> None:
    assert PATH.stat().st_size <= 51_200
    for name in ("Edge", "PrivateEdge"):
        assert len(RESOURCES[name]["FunctionCode"].encode()) <= 10_240


@pytest.mark.parametrize(("name", "file"), [("Edge", "edge.js"), ("PrivateEdge", "private-edge.js")])
def test_template_contains_the_tested_functions(name: str, file: str) -> None:
    assert RESOURCES[name]["FunctionCode"] == (PATH.parent / file).read_text()
    assert RESOURCES[name]["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


def test_edge_command_fills_the_template_with_configured_sizes() -> None:
    assert rules.fill_template(PATH.read_text(), Settings.model_construct().sizes) == PATH.read_text()


def test_edge_command_serves_below_the_path_of_the_cdn() -> None:
    sizes = Settings.model_construct().sizes
    template = yaml.load(rules.fill_template(PATH.read_text(), sizes, "/media"), _Loader)

    assert template["Parameters"]["BasePath"]["Default"] == "/media"
    assert template["Resources"]["Edge"]["Properties"]["FunctionCode"] == rules.cloudfront(sizes, "/media")
    patterns = [each["PathPattern"]["!Sub"] for each in BEHAVIOURS]
    assert patterns == [
        f"${{BasePath}}/{prefix}/*/*.{rest}" for prefix in ("images", "private") for rest in ("auto", "*")
    ]
    assert all(url["!Sub"].endswith("${BasePath}") for url in template["Outputs"]["CdnUrl"]["Value"]["!If"][1:])


@pytest.mark.parametrize("path", ["/images/{}/small.jpg", "/images/{}/medium@2x.avif", "/images/{}/large.auto"])
def test_variants_come_from_the_bucket_then_the_proxy(path: str) -> None:
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
def test_other_paths_go_to_ingest_uncached(path: str) -> None:
    chosen = behaviour(path)
    assert (chosen["TargetOriginId"], chosen["Compress"]) == ("ingest", False)
    assert chosen["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert {"POST", "DELETE"} <= set(chosen["AllowedMethods"])


def test_every_request_runs_a_function() -> None:
    for each in (*BEHAVIOURS, DISTRIBUTION["DefaultCacheBehavior"]):
        run = {each["EventType"]: each["FunctionARN"]["!GetAtt"].split(".")[0] for each in each["FunctionAssociations"]}
        if "private" in str(each.get("PathPattern")):
            assert run == {"viewer-request": "PrivateEdge", "viewer-response": "PrivateCaching"}
        else:
            assert run == {"viewer-request": "Edge"}


@pytest.mark.parametrize("path", ["/private/x/small.jpg", "/private/x/small.auto"])
def test_private_variants_are_verified_before_the_cache_and_kept_for_a_day(path: str) -> None:
    chosen = behaviour(path)
    assert (chosen["TargetOriginId"], chosen["AllowedMethods"]) == ("bucket-then-proxy", ["GET", "HEAD"])
    assert (chosen["CachePolicyId"], chosen["ViewerProtocolPolicy"]) == ({"!Ref": "PrivatePictures"}, "https-only")
    policy = RESOURCES["PrivatePictures"]["CachePolicyConfig"]
    assert {policy[name] for name in ("MinTTL", "DefaultTTL", "MaxTTL")} == {MAX_PRIVATE_AGE}
    [store] = RESOURCES["PrivateEdge"]["FunctionConfig"]["KeyValueStoreAssociations"]
    assert store == {"KeyValueStoreARN": {"!GetAtt": "PrivateKeys.Arn"}}


def test_proxy_gets_the_secret_of_the_edge() -> None:
    [proxy] = [each for each in DISTRIBUTION["Origins"] if each["Id"] == "proxy"]
    condition, headers, _ = proxy["OriginCustomHeaders"]["!If"]
    assert condition == "HasPrivateImages"
    assert headers == [{"HeaderName": "X-Edge-Secret", "HeaderValue": {"!Ref": "EdgeSecret"}}]
    assert TEMPLATE["Parameters"]["EdgeSecret"]["NoEcho"] is True


def test_distribution_without_private_images_cannot_reach_private_paths() -> None:
    nothing = {"!Ref": "AWS::NoValue"}
    for each in DISTRIBUTION["CacheBehaviors"][2:]:
        assert (each["!If"][0], each["!If"][2]) == ("HasPrivateImages", nothing)
    assert RESOURCES["BucketPolicy"]["PolicyDocument"]["Statement"][0]["Resource"] == [
        {"!Sub": "${Bucket.Arn}/images/*"},
        {"!If": ["HasPrivateImages", {"!Sub": "${Bucket.Arn}/private/*"}, nothing]},
    ]
    for name in ("PrivateKeys", "PrivateEdge", "PrivateCaching", "PrivatePictures"):
        assert TEMPLATE["Resources"][name]["Condition"] == "HasPrivateImages"


@pytest.mark.parametrize("name", ["Pictures", "PrivatePictures"])
def test_cache_key_is_the_path_alone(name: str) -> None:
    policy = RESOURCES[name]["CachePolicyConfig"]
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert not key["EnableAcceptEncodingGzip"]
    assert not key["EnableAcceptEncodingBrotli"]
    assert policy["MaxTTL"] == MAX_PRIVATE_AGE or f"max-age={policy['MaxTTL']}" in CACHE_CONTROL


def header_policy(name: str) -> dict[str, Any]:
    policy = RESOURCES[behaviour(f"/images/x/{name}")["ResponseHeadersPolicyId"]["!Ref"]]
    return dict(policy["ResponseHeadersPolicyConfig"])


@pytest.mark.parametrize(("name", "vary"), [("small.jpg", "Origin"), ("small.auto", "Accept, Origin")])
def test_responses_are_cross_origin_as_from_the_proxy(name: str, vary: str) -> None:
    """CloudFront forbids CORS headers as custom headers, and adds them to responses to requests with `Origin` alone."""
    policy = header_policy(name)
    custom = policy["CustomHeadersConfig"]["Items"]
    cors = policy["CorsConfig"]

    assert all(each["Override"] for each in custom)
    assert {each["Header"]: each["Value"] for each in custom} == {
        **{name: value for name, value in CROSS_ORIGIN_HEADERS.items() if not name.startswith("Access-Control")},
        "Vary": vary,
    }
    assert cors["AccessControlAllowOrigins"] == {"Items": [CROSS_ORIGIN_HEADERS["Access-Control-Allow-Origin"]]}
    exposed = CROSS_ORIGIN_HEADERS["Access-Control-Expose-Headers"].split(", ")
    assert cors["AccessControlExposeHeaders"] == {"Items": exposed}
    assert (cors["AccessControlAllowCredentials"], cors["OriginOverride"]) == (False, True)


def test_other_paths_get_no_cross_origin_headers() -> None:
    assert "ResponseHeadersPolicyId" not in DISTRIBUTION["DefaultCacheBehavior"]


@pytest.mark.promise("C7")
@pytest.mark.parametrize("name", ["small.jpg", "small.auto"])
def test_bucket_responses_carry_nosniff(name: str) -> None:
    headers = header_policy(name)["SecurityHeadersConfig"]
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert headers["ContentSecurityPolicy"]["ContentSecurityPolicy"] == "default-src 'none'; sandbox"


def test_failures_are_not_cached() -> None:
    kept = {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in DISTRIBUTION["CustomErrorResponses"]}
    assert {500, 501, 502, 503, 504, 403, 404} <= kept.keys()
    assert set(kept.values()) == {0}


def test_distribution_may_read_variants_only() -> None:
    allow, deny = RESOURCES["BucketPolicy"]["PolicyDocument"]["Statement"]
    assert allow["Action"] == "s3:GetObject"
    assert allow["Resource"][0] == {"!Sub": "${Bucket.Arn}/images/*"}
    assert "AWS:SourceArn" in allow["Condition"]["StringEquals"]
    assert deny["Effect"] == "Deny"
    assert set(RESOURCES["Bucket"]["PublicAccessBlockConfiguration"].values()) == {True}


def test_lifecycle_expires_variants_and_never_originals() -> None:
    assert TEMPLATE["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"
    rules = RESOURCES["Bucket"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    cooling = {rule["Prefix"] for rule in rules if "Transitions" in rule}
    assert (expiring, cooling) == ({*VARIANTS_PREFIXES.values()}, {ORIGINALS_PREFIX})


def test_lifecycle_expires_old_versions_everywhere() -> None:
    rules = RESOURCES["Bucket"]["LifecycleConfiguration"]["Rules"]
    assert [rule for rule in rules if "NoncurrentVersionExpiration" in rule] == [
        {"Id": "old-versions-expire", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}
    ]
    assert [rule["Id"] for rule in rules if "ExpiredObjectDeleteMarker" in rule] == ["delete-markers-expire"]


def allowed(policy: str) -> set[tuple[str, str]]:
    """Returns the actions that a policy allows, each with the keys; "" for the bucket itself."""
    return {
        (action, where.get("!Sub", "").removeprefix("${Bucket.Arn}/"))
        for statement in RESOURCES[policy]["PolicyDocument"]["Statement"]
        for where in _as_list(statement["Resource"])
        if "distribution" not in where.get("!Sub", "")
        for action in _as_list(statement["Action"])
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


GET, PUT, DELETE, DELETE_VERSION = "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"
READ_ORIGINALS_AND_KEEP_VARIANTS = {
    (GET, f"{ORIGINALS_PREFIX}*"),
    *((action, f"{prefix}*") for prefix in VARIANTS_PREFIXES.values() for action in (GET, PUT, DELETE)),
    ("s3:ListBucket", ""),
}
INSTALLATION = {(GET, INSTALLATION_KEY), (PUT, INSTALLATION_KEY)}


def test_proxies_and_workers_cannot_change_originals() -> None:
    assert allowed("ProxyAccess") == READ_ORIGINALS_AND_KEEP_VARIANTS
    assert allowed("WorkerAccess") == READ_ORIGINALS_AND_KEEP_VARIANTS | INSTALLATION


def test_ingest_cannot_read_or_fill_the_trash() -> None:
    assert allowed("IngestAccess") == {
        *(
            (action, f"{prefix}*")
            for prefix in (ORIGINALS_PREFIX, FIELDS_PREFIX, *VARIANTS_PREFIXES.values())
            for action in (GET, PUT, DELETE, DELETE_VERSION)
        ),
        *((action, f"{TRASH_PREFIX}*") for action in (DELETE, DELETE_VERSION)),
        *INSTALLATION,
        ("s3:ListBucket", ""),
        ("s3:ListBucketVersions", ""),
    }


def test_commands_may_use_every_key_that_darkroom_writes() -> None:
    prefixes = (ORIGINALS_PREFIX, FIELDS_PREFIX, *VARIANTS_PREFIXES.values(), TRASH_PREFIX)
    assert allowed("Access") == {
        *((action, f"{prefix}*") for prefix in prefixes for action in (GET, PUT, DELETE, DELETE_VERSION)),
        *INSTALLATION,
        *((action, INVALIDATIONS_KEY) for action in (GET, PUT, DELETE)),
        ("s3:ListBucket", ""),
        ("s3:ListBucketVersions", ""),
        ("s3:GetBucketVersioning", ""),
    }


@pytest.mark.parametrize(
    ("policy", "may"), [("ProxyAccess", False), ("WorkerAccess", False), ("IngestAccess", True), ("Access", True)]
)
def test_roles_that_delete_invalidate_the_cdn(policy: str, may: bool) -> None:
    actions = [statement["Action"] for statement in RESOURCES[policy]["PolicyDocument"]["Statement"]]
    assert ("cloudfront:CreateInvalidation" in actions) is may


def test_requests_of_one_address_are_limited_with_a_problem_document() -> None:
    assert DISTRIBUTION["WebACLId"] == {"!If": ["HasRateLimit", {"!GetAtt": "Limits.Arn"}, {"!Ref": "AWS::NoValue"}]}
    [rule] = RESOURCES["Limits"]["Rules"]
    rate = rule["Statement"]["RateBasedStatement"]
    assert (rate["AggregateKeyType"], rate["Limit"]) == ("IP", {"!Ref": "RateLimit"})
    response = rule["Action"]["Block"]["CustomResponse"]
    problem = json.loads(RESOURCES["Limits"]["CustomResponseBodies"][response["CustomResponseBodyKey"]]["Content"])
    assert response["ResponseCode"] == problem["status"] == 429
    assert problem["code"] == "too_many_requests"


def test_cache_tag_header_is_sent_by_both_origins() -> None:
    assert DISTRIBUTION["CacheTagConfig"] == {"HeaderName": "x-amz-meta-cache-tag"}
