"""Passwords: change one, or set a new one in place of a lost one."""

from datasources.accounts.common_passwords import is_common
from datasources.accounts.mail_tokens import token_expired
from domain.email_addresses import checked_email
from domain.errors import Refusal, UserErrorCode
from domain.limits import PASSWORD_RESET_LIFE
from domain.mails import MailKind, TokenPurpose
from domain.password_rules import checked_password
from domain.rate_limits import Action
from resolvers.fair_password_checks import hash_password, is_password_right
from resolvers.mailing import expect_mails
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from schema.context import Info
from schema.inputs import ChangePasswordInput, RequestPasswordResetInput, ResetPasswordInput
from schema.payloads import Payload, ViewerPayload
from schema.viewer import signed_in


@mutation(
    "Changes the password, ends the viewer's other sessions, and tells them by mail. Sent again it answers as done.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def change_password(info: Info, given: ChangePasswordInput) -> ViewerPayload:
    session, changes = info.context.require_session(), info.context.sources.password_changes
    current = await changes.current(session.user_id)
    if current is None:
        return ViewerPayload(viewer=signed_in(session))  # it is deleted, and its sessions are about to end
    if not await is_password_right(info, current.password_hash, given.current_password, session.user_id):
        if await is_password_right(info, current.password_hash, given.new_password, session.user_id):
            return ViewerPayload(viewer=signed_in(session))
        raise _wrong()
    password = checked_password(given.new_password, current.names, is_common, field="newPassword")
    new_hash = await hash_password(info, password)
    if not await changes.change(session.user_id, new_hash, old_hash=current.password_hash, kept_session=session.id):
        raise _wrong()
    return ViewerPayload(viewer=signed_in(session))


@mutation(
    "Sends a mail with a token for `resetPassword` to this address, if an account has it. The answer is the same if "
    "none has. A few mails an hour are sent to one address.",
    answers_bad_token=always,
    while_suspended=True,
)
async def request_password_reset(info: Info, given: RequestPasswordResetInput) -> Payload:
    email = checked_email(given.email)
    mails = expect_mails(info)
    await count_use(info, Action.PASSWORD_RESET, name=email.lower())
    await mails.add(MailKind.PASSWORD_RESET, to=email)
    return Payload()


@mutation(
    "Sets a new password with the token of a mail, ends all sessions of the account, and tells its owner by mail. A "
    f"token is good once, for {PASSWORD_RESET_LIFE.seconds // 60} minutes from the sending of the mail. Whoever used "
    "it may send the same again for a minute, in case the answer was lost.",
    answers_bad_token=always,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def reset_password(info: Info, given: ResetPasswordInput) -> Payload:
    sources = info.context.sources
    token = await sources.mail_tokens.find(given.token, TokenPurpose.PASSWORD_RESET)
    current = await sources.password_changes.current(token.user_id)
    if current is None or token.email != current.email:
        raise token_expired()
    if token.used:
        if not await is_password_right(info, current.password_hash, given.new_password, token.user_id):
            raise token_expired()
        return Payload()
    password = checked_password(given.new_password, current.names, is_common, field="newPassword")
    if not await sources.password_changes.change(token.user_id, await hash_password(info, password), token=token):
        raise token_expired()
    if info.context.viewer_id == token.user_id:
        info.context.session = None  # the rest of the operation is anonymous
    return Payload()


def _wrong() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "The password is wrong.", field=["currentPassword"])
