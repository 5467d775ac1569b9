"""Settings of mails: where they go, from whom they come, and what must be verified."""

from email.utils import parseaddr
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from datasources.settings.environment import EnvironmentSettings
from datasources.settings.lists import CommaList


class MailSettings(EnvironmentSettings):
    """Settings of mails; times are in seconds."""

    mail: Literal["none", "smtp", "folder"] = Field(
        "none", description="Where mails go: nowhere, to an SMTP server, or, in development, into a folder."
    )
    mail_from: str = Field("Photogram <no-reply@localhost>", description="Whom mails come from.")
    mail_folder: Path | None = Field(None, description="The folder; the newest 200 mails stay there, as .eml files.")
    mail_language: str = Field("en", description="Language of mails to people whose own one is not known.")
    mail_timeout: float = Field(10.0, gt=0, le=30, description="Longest time for one step of a talk with the server.")
    email_verification: Literal["required", "later", "off"] | None = Field(
        None,
        description="required: an account comes into being when its address is verified; later: it has to be verified "
        "for `unverified_refused`; off: it counts as verified. By default required where mails are sent, else off.",
    )
    unverified_refused: CommaList = Field(
        ("createPost", "addComment", "followUser"),
        description="Mutations that are refused, with EMAIL_NOT_VERIFIED, to who has not verified their address.",
    )
    app_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s#?]+$",
        description="Your client's address, where links in mails lead; without it mails have codes to copy only.",
    )
    smtp_host: str | None = Field(None, description="The SMTP server.")
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls and tls check the server's certificate; none is for a server on this machine."
    )
    smtp_user: str | None = Field(None, description="Name to log in with, if the server asks for one.")
    smtp_password: SecretStr = SecretStr("")

    @property
    def verification(self) -> Literal["required", "later", "off"]:
        """When addresses are verified."""
        return self.email_verification or ("off" if self.mail == "none" else "required")

    @property
    def shown_mails(self) -> Path | None:
        """The folder whose mails the API shows as a page: in development only."""
        return self.mail_folder if self.mail == "folder" and self.environment == "development" else None

    @model_validator(mode="after")
    def _require_a_place_for_mails(self) -> Self:
        if self.mail == "smtp" and not self.smtp_host:
            raise ValueError("PHOTOGRAM_MAIL=smtp needs PHOTOGRAM_SMTP_HOST")
        if self.mail == "folder" and self.mail_folder is None:
            raise ValueError("PHOTOGRAM_MAIL=folder needs PHOTOGRAM_MAIL_FOLDER")
        if self.mail == "folder" and self.environment == "production":
            raise ValueError("PHOTOGRAM_MAIL=folder is for development; production must send its mails")
        if self.mail == "none" and self.verification != "off":
            raise ValueError("PHOTOGRAM_EMAIL_VERIFICATION needs mails: set PHOTOGRAM_MAIL too")
        sender = parseaddr(self.mail_from)[1]
        if "@" not in sender or (self.environment == "production" and self.mail == "smtp" and "." not in sender):
            raise ValueError("PHOTOGRAM_MAIL_FROM must be an address of your domain: Photogram <no-reply@example.com>")
        if self.smtp_security == "none" and self.smtp_user:
            raise ValueError("PHOTOGRAM_SMTP_SECURITY=none would send PHOTOGRAM_SMTP_PASSWORD in the clear")
        return self
