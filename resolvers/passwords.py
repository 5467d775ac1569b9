"""Passwords: change one, or set a new one by a mail, in place of a lost one or of a thief's."""

from datasources.accounts.common_passwords import is_common
from datasources.accounts.mail_tokens import token_expired
from domain.email_addresses import checked_email
from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_UNDO_DAYS, PASSWORD_RESET_LIFE
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
    "Changes the password, ends the viewer's other sessions and all access tokens, and tells them by mail, which says "
    "what else opens the account. Sent again it answers as done.",
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
    "Sets a new password with the token of a mail, ends all sessions and access tokens of the account, and tells its "
    "owner by mail, which says what else opens the account. A token is good once, for "
    f"{PASSWORD_RESET_LIFE.seconds // 60} minutes from the sending of the mail. Whoever used it may send the same "
    "again for a minute, in case the answer was lost.",
    answers_bad_token=always,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def reset_password(info: Info, given: ResetPasswordInput) -> Payload:
    return await _set_password(info, given, TokenPurpose.PASSWORD_RESET)


@mutation(
    "Takes an account back whose address somebody else has changed, with the token of the mail to the address that it "
    "had: it has that address again and a new password, and all its sessions, access tokens, passkeys and linked "
    "identities end, whatever `removeOtherWays` says. A token is good "
    f"once, for {EMAIL_UNDO_DAYS} days from the change. Whoever used it may send the same again for a minute.",
    answers_bad_token=always,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def undo_email_change(info: Info, given: ResetPasswordInput) -> Payload:
    return await _set_password(info, given, TokenPurpose.EMAIL_UNDO)


async def _set_password(info: Info, given: ResetPasswordInput, purpose: TokenPurpose) -> Payload:
    """Sets the password with the token of a mail. Raises Refusal."""
    changes = info.context.sources.password_changes
    token = await info.context.sources.mail_tokens.find(given.token, purpose)
    current = await changes.current(token.user_id)
    may_be_elsewhere = purpose is TokenPurpose.EMAIL_UNDO and not token.used
    if current is None or not (token.email == current.email or may_be_elsewhere):
        raise token_expired()
    if token.used:
        if not await is_password_right(info, current.password_hash, given.new_password, token.user_id):
            raise token_expired()
        return Payload()
    names = (*current.names, token.email, token.email.partition("@")[0])
    new_hash = await hash_password(info, checked_password(given.new_password, names, is_common, field="newPassword"))
    removes = given.remove_other_ways or purpose is TokenPurpose.EMAIL_UNDO  # a thief may have added some
    if not await changes.change(token.user_id, new_hash, token=token, removes_other_ways=removes):
        raise token_expired()
    if info.context.viewer_id == token.user_id:
        info.context.session = None  # the rest of the operation is anonymous
    return Payload()


def _wrong() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "The password is wrong.", field=["currentPassword"])
