"""The whole API: every root field in one place, and the schema made of them."""

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type

from resolvers import (
    access_tokens,
    accounts,
    comments,
    deactivation,
    emails,
    exports,
    feed,
    feed_live,
    follows,
    fresh_proof,
    identities,
    likes,
    moderation,
    nodes,
    notifications,
    passkeys,
    passwords,
    posts,
    profile,
    reports,
    second_factor,
    terms,
    uploads,
    uploads_live,
    usernames,
)
from schema.comment import Comment
from schema.image import Image
from schema.notification import CommentNotification, FollowNotification, PostNotification
from schema.scalars import SCALARS
from schema.second_factor import LinkedIdentity, Passkey
from schema.session import AccessToken
from schema.upload import MediaUpload

Query = create_type(
    "Query",
    [
        nodes.node,
        nodes.nodes,
        nodes.viewer,
        nodes.user,
        posts.post,
        feed.feed,
        notifications.notifications,
        uploads.upload_limits,
        moderation.moderation,
        terms.terms,
    ],
    description="Reads.",
)

Mutation = create_type(
    "Mutation",
    [
        accounts.register,
        accounts.login,
        accounts.refresh_session,
        accounts.logout,
        accounts.revoke_session,
        accounts.revoke_other_sessions,
        fresh_proof.confirm_identity,
        second_factor.begin_second_factor,
        second_factor.confirm_second_factor,
        second_factor.renew_recovery_codes,
        second_factor.disable_second_factor,
        second_factor.complete_login,
        passkeys.begin_passkey,
        passkeys.confirm_passkey,
        passkeys.remove_passkey,
        passkeys.begin_passkey_login,
        passkeys.login_with_passkey,
        identities.begin_identity,
        identities.login_with_identity,
        identities.link_identity,
        identities.unlink_identity,
        access_tokens.create_access_token,
        access_tokens.revoke_access_token,
        terms.accept_terms,
        exports.request_export,
        deactivation.deactivate_account,
        accounts.delete_account,
        usernames.change_username,
        emails.verify_email,
        emails.request_email_verification,
        emails.request_email_change,
        passwords.change_password,
        passwords.request_password_reset,
        passwords.reset_password,
        profile.update_profile,
        profile.update_preferences,
        uploads.create_upload,
        uploads.upload_image,
        uploads.cancel_upload,
        posts.create_post,
        posts.update_post,
        posts.delete_post,
        posts.remove_tag,
        likes.like_post,
        likes.unlike_post,
        comments.add_comment,
        comments.delete_comment,
        likes.like_comment,
        likes.unlike_comment,
        follows.follow_user,
        follows.unfollow_user,
        follows.accept_follow_request,
        follows.decline_follow_request,
        follows.remove_follower,
        follows.block_user,
        follows.unblock_user,
        follows.mute_user,
        follows.unmute_user,
        notifications.mark_notifications_seen,
        notifications.mark_notifications_read,
        reports.report_content,
        reports.request_report,
        reports.confirm_report,
        moderation.claim_case,
        moderation.moderate,
        moderation.appeal_decision,
    ],
    description="Writes. Each says what should be true afterwards; repeating it changes nothing.",
)

Subscription = create_type(
    "Subscription",
    [notifications.notification_added, uploads_live.upload_updated, feed_live.feed_updated],
    description="Live events, over graphql-transport-ws.",
)

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[
        AccessToken,
        LinkedIdentity,
        Passkey,
        Comment,
        Image,
        MediaUpload,
        PostNotification,
        CommentNotification,
        FollowNotification,
    ],
    config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True, batching_config=None),
)
