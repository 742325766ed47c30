"""Translates botocore's exceptions, whose texts may contain names and addresses; the only place that does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore import exceptions as boto
from urllib3.exceptions import HTTPError

from proxy.errors import StoreUnavailable
from proxy.storage.bulkhead import LATE
from proxy.storage.object_store import ObjectExists, ObjectNotFound

_DENIED = (
    "The object store refuses these credentials. Check the keys, this machine's clock, and that they allow "
    "s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket's objects and s3:ListBucket on the bucket."
)
_BAD_KEYS = "The object store does not know these credentials. Check the access key and its secret."
_EXPIRED = "The credentials for the object store have expired. Renew them."
_WRONG_REGION = "The bucket is in another region. Correct AWS_REGION."

_ANSWERS = {
    "403": _DENIED,  # a response to HEAD has no body with a code, so this covers all reasons below
    "AccessDenied": _DENIED,
    "InvalidAccessKeyId": _BAD_KEYS,
    "SignatureDoesNotMatch": _BAD_KEYS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "InvalidObjectState": "The object is archived. Restore it to a storage class that can be read at once.",
    "PreconditionFailed": "The object was changed at the same time. Try again.",
    "NoSuchBucket": "The bucket does not exist. Create it, or correct S3_BUCKET.",
    "RequestTimeTooSkewed": "This machine's clock differs from the object store's by minutes. Synchronize it by NTP.",
    "301": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
}

_NO_KEYS = "No credentials for the object store were found. Set the access key and its secret, or assign a role."
NOT_S3 = "The endpoint is not an S3 service. Correct S3_ENDPOINT_URL."
_UNREACHABLE = "The object store cannot be reached. Check that it runs, and the endpoint's host and port."
_PROXY = (
    "The proxy of HTTP_PROXY or HTTPS_PROXY, on the way to the object store, cannot be reached. Correct it, or name "
    "the endpoint's host in NO_PROXY."
)
_CUT = "The object store closed the connection in the middle of an object. Try again."

_CERTIFICATE = (
    "The object store's certificate was not accepted. Check the endpoint's name and this machine's CA certificates."
)

_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)

_OUTAGES: Mapping[type[Exception], tuple[str, str]] = {
    # Message and metric label. The order matters: botocore's ConnectionError is the parent of others.
    boto.ConnectTimeoutError: (LATE, "timeout"),
    boto.ReadTimeoutError: (LATE, "timeout"),
    boto.IncompleteReadError: (_CUT, "cut"),
    boto.ResponseStreamingError: (_CUT, "cut"),
    boto.SSLError: (_CERTIFICATE, "certificate"),
    boto.ProxyConnectionError: (_PROXY, "unreachable"),
    boto.ConnectionError: (_UNREACHABLE, "unreachable"),
    boto.ConnectionClosedError: (_UNREACHABLE, "unreachable"),
}

_OUTAGE_CODES = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"})
_REASONS = frozenset({*_ANSWERS, *_OUTAGE_CODES})
"""S3's error codes that become metric labels. Others count as `other`, so that a server cannot create series."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns botocore's exceptions in the block into StoreUnavailable, ObjectNotFound or ObjectExists.

    Wrap the blocking call in it, in the bulkhead's thread: the bulkhead then sees the result even after the caller
    timed out.
    """
    try:
        yield
    except boto.ParamValidationError as error:  # raised before sending: a mistake of the caller
        raise ValueError(str(error)) from error
    except boto.ClientError as error:
        raise _translate_client_error(error) from error
    except boto.FlexibleChecksumError as error:
        raise StoreUnavailable(_CUT, reason="cut") from error
    except _NO_CREDENTIALS as error:
        raise StoreUnavailable(_NO_KEYS, reason="credentials") from error
    except (boto.BotoCoreError, HTTPError) as error:  # HTTPError: urllib3's, when TLS fails in the middle of a body
        unknown = f"The object store cannot be used: {type(error).__name__}.", "other"
        advice, reason = next((known for kind, known in _OUTAGES.items() if isinstance(error, kind)), unknown)
        raise StoreUnavailable(advice, reason=reason, is_outage=True) from error


def _translate_client_error(error: boto.ClientError) -> Exception:
    match error.operation_name, error_code(error):
        case ("GetObject" | "CopyObject", "NoSuchKey") | ("HeadObject", "404"):
            return ObjectNotFound(str(error))
        case ("PutObject", "PreconditionFailed" | "ConditionalRequestConflict"):  # 412: exists; 409: race
            return ObjectExists(str(error))
        case ("HeadBucket", "404"):
            return unavailable("NoSuchBucket")
        case _:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return unavailable(error_code(error), is_outage=status == 429 or (status >= 500 and status != 501))


def error_code(error: boto.ClientError) -> str:
    """S3's error code; the HTTP status if the response had no body."""
    return error.response["Error"].get("Code", "no code")


def unavailable(code: str, *, is_outage: bool = False) -> StoreUnavailable:
    """Returns the error for one of S3's codes. `is_outage`: it is an outage even if its code is not one of these."""
    advice = _ANSWERS.get(code, f"The object store answered {code}.")
    reason = code if code in _REASONS else "other"
    return StoreUnavailable(advice, reason=reason, is_outage=is_outage or code in _OUTAGE_CODES)
