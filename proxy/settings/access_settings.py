"""Settings of access without an API key: upload tickets, tokens of private variants, and the edge's secret."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from proxy.model import Visibility
from proxy.settings.connection_urls import BaseUrl
from proxy.settings.patterns import Origin, split_list
from proxy.settings.secret_keys import SecretKey, SecretKeys


class AccessSettings(BaseModel):
    """The settings of tickets, tokens and the edge's secret."""

    upload_keys: SecretKeys = Field(
        (),
        description="Comma-separated keys, of at least 32 characters, that sign upload tickets and receipts. The first "
        "signs, all verify; without keys there are no tickets",
    )
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Comma-separated origins, such as `https://shop.example`, whose pages may upload with a ticket and "
        "follow uploads",
    )

    signing_keys: SecretKeys = Field(
        (),
        description="Comma-separated keys, of at least 32 characters, that sign the tokens of private variants. All of "
        "them verify",
    )
    edge_secret: SecretKey | None = Field(
        None,
        description="Key of at least 32 characters that this server and the edge share. Private variants are then "
        "served only to requests that carry it as `X-Edge-Secret`, and nginx accepts requests to forget "
        "variants only with it",
    )
    edge_urls: Annotated[tuple[BaseUrl, ...], BeforeValidator(split_list)] = Field(
        (),
        validate_default=True,
        description="Comma-separated base URLs of nginx edges, at addresses that this server reaches; deletions and "
        "changes remove variants from their caches. Needs `EDGE_SECRET`",
    )
    default_visibility: Visibility = Field(
        Visibility.PUBLIC,
        validate_default=True,
        description="`private`: uploads that do not say their `visibility` are private",
    )

    @property
    def can_open_private(self) -> bool:
        """Whether private variants can be requested: with a token, or through an edge that verifies tokens itself."""
        return bool(self.signing_keys or self.edge_secret)

    @field_validator("edge_urls")
    @classmethod
    def _validate_edge_urls(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("edge_secret", True) is None:
            raise ValueError("the edges forget nothing without the secret: set EDGE_SECRET, too")
        return value

    @field_validator("default_visibility")
    @classmethod
    def _validate_visibility(cls, value: Visibility, info: ValidationInfo) -> Visibility:
        keys = info.data.get("signing_keys", True), info.data.get("edge_secret", True)
        if value is Visibility.PRIVATE and not any(keys):
            raise ValueError("private uploads need SIGNING_KEYS: set it, too")
        return value
