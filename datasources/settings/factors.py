"""Settings of second factors and passkeys."""

import base64
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from datasources.settings.lists import CommaList, split_list


def _checked_key(key: SecretStr) -> SecretStr:
    try:
        size = len(base64.urlsafe_b64decode(key.get_secret_value()))
    except ValueError:
        size = 0
    if size != 32:
        raise ValueError("a key is 32 random bytes in URL-safe base64")
    return key


SecretKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_checked_key)], ...], NoDecode, BeforeValidator(split_list)
]


class FactorSettings(BaseSettings):
    """Settings of second factors and passkeys."""

    secret_keys: SecretKeys = Field(
        (),
        description="Keys that seal secrets of one-time codes and challenges, with commas: 32 random bytes each, in "
        "URL-safe base64. The first one seals, all open. Production has no second factors and passkeys without.",
    )
    passkey_rp_id: str = Field("localhost", description="The domain that passkeys are for, such as example.com.")
    passkey_origins: CommaList = Field(
        (),
        description="Origins of pages and apps that may use passkeys, with commas: https://app.example.com. By default "
        "http://localhost on any port for localhost, else https:// and the domain.",
    )
