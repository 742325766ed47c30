"""Deletes objects of one bucket, also on servers that lack a part of S3."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore import exceptions as boto

from proxy.storage.s3_errors import error_code, unavailable

if TYPE_CHECKING:  # stubs, which production does not install
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import DeleteObjectRequestTypeDef, ObjectIdentifierTypeDef

_NO_DELETE_OBJECTS = frozenset(
    {"NotImplemented", "MethodNotAllowed", "MissingContentMD5", "InvalidRequest", "InvalidArgument", "501", "405"}
)
"""Answers of servers without DeleteObjects (Google Cloud Storage, JuiceFS) and of those that demand Content-MD5 for it,
which botocore has replaced by newer checksums."""


class S3Deletion:
    """Deletes objects. Blocks, and raises botocore's exceptions and StoreUnavailable."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._deletes_many = True

    def delete(self, objects: "Sequence[ObjectIdentifierTypeDef]") -> None:
        """Deletes one key by DeleteObject, which every server has; several by DeleteObjects if the server has it."""
        if len(objects) > 1 and self._deletes_many:
            try:
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            except boto.ClientError as error:
                if error_code(error) not in _NO_DELETE_OBJECTS:
                    raise
                self._deletes_many = False
            else:
                if errors := answer.get("Errors"):
                    raise unavailable(errors[0].get("Code", "no code"))
                return
        for each in objects:
            request: DeleteObjectRequestTypeDef = {"Bucket": self._bucket, "Key": each["Key"]}
            if "VersionId" in each:
                request["VersionId"] = each["VersionId"]
            try:
                self._client.delete_object(**request)
            except boto.ClientError as error:
                if error_code(error) != "NoSuchKey":  # Google Cloud Storage, where AWS would answer 204
                    raise
