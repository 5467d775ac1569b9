"""The inputs of mutations. Several mutations may share the members of their inputs; each has a type of its own."""

from typing import Any

import strawberry
from strawberry.utils.str_converters import capitalize_first

from domain import limits
from schema.enums import AgeRange, SensitiveContent
from schema.fields import plain
from schema.text_fields import text_field

KEY = f"Send the same key to retry safely; kept {limits.IDEMPOTENCY_HOURS} hours."
MAIL_TOKEN = "The token in the mail: what stands after `#token=` in its link."  # noqa: S105
_NEW_PASSWORD = (
    f"At least {limits.PASSWORD_MIN} characters. Neither one of the commonest passwords nor one's own handle or "
    "address, also with digits and signs after it."
)
_PASSWORD = (
    "The viewer's password; not needed within "
    f"{limits.PROOF_FRESH.seconds // 60} minutes of a login or of confirmIdentity."
)


def input_type(mutation: str, members: type) -> Any:
    """The type `LikePostInput` for the mutation `likePost`, with the members of a class below."""
    made = type(f"{capitalize_first(mutation)}Input", (members,), {})
    return strawberry.input(made, description=f"Input of {mutation}.")


@strawberry.input
class ClientInput:
    """What every way of logging in is told of the client."""

    client_name: str | None = text_field(
        "What the client calls itself.", max_length=limits.CLIENT_NAME_MAX, default=None
    )
    platform: str | None = text_field(
        "What the client runs on, as its owner would say it: `iPhone 17`, `Firefox on Linux`.",
        max_length=limits.PLATFORM_MAX,
        default=None,
    )


@strawberry.input
class RegisterInput(ClientInput):
    username: str = text_field(
        f"At least {limits.USERNAME_MIN} letters, digits, dots and underscores.", max_length=limits.USERNAME_MAX
    )
    email: str = text_field("Address.", max_length=limits.EMAIL_MAX)
    password: str = text_field(_NEW_PASSWORD, max_length=limits.PASSWORD_MAX)
    display_name: str | None = text_field(
        "Name to show, on one line; the handle when left out.", max_length=limits.DISPLAY_NAME_MAX, default=None
    )
    language: str | None = text_field(
        "Language of mails, as a tag: `en`, `de-AT`.", max_length=limits.LANGUAGE_MAX, default=None
    )
    idempotency_key: strawberry.ID | None = plain(
        f"{KEY} At least {limits.REGISTRATION_KEY_MIN} characters, drawn at random (a UUID will do), for it is "
        "nobody's but the sender's.",
        default=None,
    )
    terms_version: str | None = text_field(
        "The version of `terms`, which the person has accepted; needed where there are terms.",
        max_length=limits.TERMS_VERSION_MAX,
        default=None,
    )
    age_range: AgeRange | None = plain(
        "In which range their age is; needed where `terms { minimumAge }` asks for it.", default=None
    )


@strawberry.input
class DeviceInput(ClientInput):
    """What a way of logging in is told of the client and its device."""

    device_token: str | None = text_field(
        "The `deviceToken` that the registration of this account, or an earlier login, has answered on this device. "
        "With it the person can log in while somebody else guesses the password. Send it as the header "
        "`Photogram-Device` too, with every request: what comes without a session, or with a new access token, "
        "counts to the account then, and not to an address that others share.",
        max_length=limits.TOKEN_MAX,
        default=None,
    )


@strawberry.input
class LoginInput(DeviceInput):
    login: str = text_field("Handle or address.", max_length=limits.EMAIL_MAX)
    password: str = text_field("Password.", max_length=limits.PASSWORD_MAX)


@strawberry.input
class ChangePasswordInput:
    current_password: str = text_field("The present one.", max_length=limits.PASSWORD_MAX)
    new_password: str = text_field(_NEW_PASSWORD, max_length=limits.PASSWORD_MAX)


@strawberry.input
class RequestPasswordResetInput:
    email: str = text_field("Address of the account.", max_length=limits.EMAIL_MAX)


@strawberry.input
class ResetPasswordInput:
    token: str = text_field(MAIL_TOKEN, max_length=limits.MAIL_TOKEN_MAX)
    new_password: str = text_field(_NEW_PASSWORD, max_length=limits.PASSWORD_MAX)
    remove_other_ways: bool = plain(
        "Whether to remove all passkeys and linked identities too, for who thinks that somebody else has used the "
        "account. One-time codes stay.",
        default=False,
    )


@strawberry.input
class RefreshSessionInput:
    refresh_token: str = text_field(
        "The current refresh token. This spends it; for "
        f"{limits.REFRESH_GRACE_SECONDS} seconds the same token gets the same answer again.",
        max_length=limits.TOKEN_MAX,
    )


@strawberry.input
class LogoutInput:
    everywhere: bool | None = plain("End all the viewer's sessions.", default=False)


@strawberry.input
class RevokeSessionInput:
    session_id: strawberry.ID = plain("The session.")


@strawberry.input
class RevokeOtherSessionsInput:
    access_tokens: bool | None = plain("End the viewer's personal access tokens too.", default=False)


@strawberry.input
class DeleteAccountInput:
    password: str | None = text_field(_PASSWORD, max_length=limits.PASSWORD_MAX, default=None)


@strawberry.input
class ChangeUsernameInput:
    username: str = text_field(
        f"The new handle: at least {limits.USERNAME_MIN} letters, digits, dots and underscores.",
        max_length=limits.USERNAME_MAX,
    )


@strawberry.input
class AcceptTermsInput:
    version: str = text_field("The version of `terms`.", max_length=limits.TERMS_VERSION_MAX)
    age_range: AgeRange | None = plain(
        "In which range the viewer's age is; needed where `terms { minimumAge }` asks for it.", default=None
    )


@strawberry.input
class DeactivateAccountInput:
    password: str | None = text_field(_PASSWORD, max_length=limits.PASSWORD_MAX, default=None)


@strawberry.input
class RequestExportInput:
    password: str | None = text_field(_PASSWORD, max_length=limits.PASSWORD_MAX, default=None)


@strawberry.input
class UpdateProfileInput:
    display_name: str | None = text_field(
        "New name, on one line; null shows the handle in its place.",
        max_length=limits.DISPLAY_NAME_MAX,
        default=strawberry.UNSET,
    )
    biography: str | None = text_field(
        "New text; null or empty clears it.", max_length=limits.BIOGRAPHY_MAX, default=strawberry.UNSET
    )
    website: str | None = text_field(
        "New website; null or empty clears it.", max_length=limits.WEBSITE_MAX, default=strawberry.UNSET
    )
    avatar_upload_id: strawberry.ID | None = plain(
        "A ready upload of the viewer's as the new picture; null takes the picture away.", default=strawberry.UNSET
    )
    is_private: bool | None = plain(
        "Whether only accepted followers see posts. It cannot be cleared: null is refused. "
        f"A private account can go public {limits.TURNS_TO_PUBLIC_PER_DAY} times a day.",
        default=strawberry.UNSET,
    )
    language: str | None = text_field(
        "Language of mails, as a tag, which others do not see; null for that of the service.",
        max_length=limits.LANGUAGE_MAX,
        default=strawberry.UNSET,
    )


@strawberry.input
class UpdatePreferencesInput:
    sensitive_content: SensitiveContent | None = plain(
        "How clients show posts that are labelled sensitive. It cannot be cleared: null is refused.",
        default=strawberry.UNSET,
    )
    approves_tags: bool | None = plain(
        "Whether new tags of the viewer wait for approveTag. It cannot be cleared: null is refused.",
        default=strawberry.UNSET,
    )
    is_in_search: bool | None = plain(
        "Whether everybody finds the account by parts of its names, and its posts by their words and in explore. Null "
        "is refused.",
        default=strawberry.UNSET,
    )
    shows_suggested_posts: bool | None = plain(
        "Whether the ranked feed goes on with suggested posts. It cannot be cleared: null is refused.",
        default=strawberry.UNSET,
    )


@strawberry.input
class UserIdInput:
    user_id: strawberry.ID = plain("The user.")
