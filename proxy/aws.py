"""Sessions of boto3 with the credentials of the settings."""

from boto3.session import Session
from pydantic import SecretStr

from proxy.settings.environment import Settings


def open_session(settings: Settings, region: str | None = None) -> Session:
    """Without keys in the settings, boto3's own chain finds credentials: environment, profile, role."""

    def reveal(secret: SecretStr | None) -> str | None:
        return secret.get_secret_value() if secret else None

    return Session(
        reveal(settings.aws_access_key_id),
        reveal(settings.aws_secret_access_key),
        reveal(settings.aws_session_token),
        region or settings.aws_region,
    )
