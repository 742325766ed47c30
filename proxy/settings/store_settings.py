"""Settings of the store of originals and variants: a bucket, or files of this machine."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from proxy.settings.connection_urls import BaseUrl
from proxy.settings.patterns import matching

_PREFIX = matching(
    r"([A-Za-z0-9][A-Za-z0-9!_.*'()-]*/)*",
    "give names with slashes between them, such as team/darkroom/. A name begins with a letter or digit and may also "
    "have the characters !_.*'()-",
)
_ENCRYPTION = matching(
    r"AES256|aws:kms(:\S+)?", "give AES256, aws:kms or aws:kms:KEY-ID, in this spelling. KEY-ID is the key's id or ARN"
)


class StoreSettings(BaseModel):
    """The settings of the object store and of the data folder."""

    data_dir: Path = Field(Path("data"), description="Folder of the embedded object store, SQLite and temporary files")
    s3_bucket: str | None = Field(
        None, description="Bucket for originals and variants; files under `DATA_DIR` if unset"
    )
    s3_endpoint_url: BaseUrl | None = Field(None, description="S3 server other than AWS")
    s3_prefix: Annotated[str, _PREFIX] = Field(
        "",
        description="Prefix of every key, such as `darkroom/`, for a bucket that is shared with others",
    )
    s3_addressing: Literal["path", "virtual"] | None = Field(
        None,
        description="`virtual`: the bucket is part of the host name (default on AWS); `path`: of the path (default "
        "elsewhere)",
    )
    s3_sse: Annotated[str, _ENCRYPTION] | None = Field(
        None,
        description="Server-side encryption of every object: `AES256`, `aws:kms` or `aws:kms:KEY-ID`",
    )
    aws_region: str | None = Field(None, description="Region of the bucket")
    aws_access_key_id: SecretStr | None = Field(
        None, description="Access key, set together with its secret; boto3's credential chain if unset"
    )
    aws_secret_access_key: SecretStr | None = Field(
        None, validate_default=True, description="Secret of `AWS_ACCESS_KEY_ID`"
    )
    aws_session_token: SecretStr | None = Field(None, description="Token of temporary keys")

    @field_validator("s3_bucket")
    @classmethod
    def _validate_bucket(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"[A-Za-z0-9._-]{1,255}|arn:\S+", value):
            return value
        name = value.removeprefix("s3://").split("/")[0]
        if re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name):
            raise ValueError(f"give the bucket's name alone, without scheme and path: {name}. S3_PREFIX is for a path")
        raise ValueError("give the bucket's name alone: letters, digits, dots, hyphens and underscores")

    @field_validator("s3_prefix", mode="before")
    @classmethod
    def _end_prefix_with_slash(cls, value: str) -> str:
        return f"{value.strip('/')}/" if value.strip("/") else ""

    @field_validator("s3_endpoint_url", "s3_prefix", "s3_addressing", "s3_sse")
    @classmethod
    def _validate_that_bucket_is_set(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("s3_bucket", value) is None:
            raise ValueError("it is for a bucket, but originals and variants would be files in DATA_DIR: set S3_BUCKET")
        return value

    @field_validator("aws_secret_access_key")
    @classmethod
    def _validate_key_pair(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (info.data.get("aws_access_key_id") is None) != (value is None):
            raise ValueError("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither")
        return value

    @field_validator("aws_session_token")
    @classmethod
    def _validate_session_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("aws_access_key_id") is None:
            raise ValueError("it belongs to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set these too")
        return value

    @property
    def temporary(self) -> Path:
        """Folder of temporary files: uploads in progress, and originals while they are rendered or sent."""
        return self.data_dir / "tmp"

    @property
    def objects(self) -> Path:
        """Folder of the embedded object store."""
        return self.data_dir / "objects"

    @property
    def locks(self) -> Path:
        """Folder of the lease files of this machine."""
        return self.data_dir / "locks"

    @property
    def invalidation_files(self) -> Path:
        """Folder of the invalidation files of this machine."""
        return self.data_dir / "purges"

    @property
    def failure_files(self) -> Path:
        """Folder of the failures of derivations on this machine."""
        return self.data_dir / "failures"
