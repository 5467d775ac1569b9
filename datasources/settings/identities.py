"""Settings of who vouches for identities: Google, Apple, and any other issuer of OpenID Connect."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings

from datasources.settings.lists import CommaList

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class IssuerSettings(BaseModel):
    """An issuer of ID tokens, which are signed by one of its keys, for one of our client ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    jwks_url: str
    client_ids: tuple[str, ...] = Field(min_length=1)
    algorithms: tuple[Algorithm, ...] = ("RS256",)


class IdentitySettings(BaseSettings):
    """Settings of sign-in with identities of others."""

    google_client_ids: CommaList = Field(
        (), description="Our client ids at Google, with commas; none: no such sign-in."
    )
    apple_client_ids: CommaList = Field((), description="Our services and bundles at Apple, with commas.")
    identity_issuers: tuple[IssuerSettings, ...] = Field(
        (), description="Other issuers of OpenID Connect, as a JSON list of issuer, jwks_url, client_ids, algorithms."
    )

    @property
    def issuers(self) -> tuple[IssuerSettings, ...]:
        """All issuers that may vouch for identities."""
        known = (
            ("https://accounts.google.com", "https://www.googleapis.com/oauth2/v3/certs", self.google_client_ids),
            ("https://appleid.apple.com", "https://appleid.apple.com/auth/keys", self.apple_client_ids),
        )
        named = [IssuerSettings(issuer=name, jwks_url=url, client_ids=ids) for name, url, ids in known if ids]
        return (*named, *self.identity_issuers)

    @model_validator(mode="after")
    def _require_https_for_keys(self) -> Self:
        for issuer in self.identity_issuers:
            is_local = issuer.jwks_url.startswith(("http://127.0.0.1:", "http://localhost:"))
            if not issuer.jwks_url.startswith("https://") and not is_local:
                raise ValueError("the keys of an issuer of PHOTOGRAM_IDENTITY_ISSUERS must be fetched over https")
        return self
