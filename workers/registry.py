"""All background work on one screen: each kind of job and its handler; the policy is in `domain/jobs.py`."""

from collections.abc import Mapping

from domain.jobs import JOBS, PUBLISHING, Fact, JobKind, Task
from workers.handlers import (
    accept_requests,
    add_formats,
    aggregate_counters,
    backfill_feed,
    build_export,
    clean_up,
    complete_post,
    compute_interests,
    decisions,
    delete_account,
    deliver_webhooks,
    end_sessions,
    fan_out,
    ingest,
    list_posts,
    move_files,
    notify,
    notify_decisions,
    notify_likes,
    publish_events,
    purge_cdn,
    refresh_feed,
    remove_follows,
    screen_comments,
    screen_content,
    send_mails,
    switch_push_pull,
)
from workers.runtime.handler import Handler, HandlerFunction, OwnersFunction

_FUNCTIONS: Mapping[JobKind, HandlerFunction] = {
    (Task.COUNT, Fact.POST_LIKE): aggregate_counters.count_post_likes,
    (Task.COUNT, Fact.COMMENT_LIKE): aggregate_counters.count_comment_likes,
    (Task.COUNT, Fact.COMMENT): aggregate_counters.count_comments,
    (Task.COUNT, Fact.POST): aggregate_counters.count_posts,
    (Task.COUNT, Fact.TOPIC_POST): aggregate_counters.count_topic_posts,
    (Task.COUNT, Fact.FOLLOW): aggregate_counters.count_followers,
    (Task.COUNT_FOLLOWING, Fact.FOLLOW): aggregate_counters.count_following,
    (Task.NOTIFY, Fact.POST_LIKE): notify_likes.notify_post_likes,
    (Task.NOTIFY, Fact.COMMENT_LIKE): notify_likes.notify_comment_likes,
    (Task.NOTIFY, Fact.COMMENT): notify.notify_comments,
    (Task.NOTIFY, Fact.FOLLOW): notify.notify_follows,
    (Task.NOTIFY, Fact.POST): notify.notify_post,
    (Task.NOTIFY, Fact.DECISION): notify_decisions.notify_decisions,
    (Task.INGEST, Fact.UPLOAD): ingest.ingest,
    (Task.ADD_FORMATS, Fact.UPLOAD): add_formats.add_formats,
    (Task.COMPLETE_POST, Fact.POST): complete_post.complete_post,
    (Task.FAN_OUT, Fact.POST): fan_out.fan_out,
    (Task.SPLIT_FAN_OUT, Fact.FAN_OUT): fan_out.split_fan_out,
    (Task.FAN_OUT_CHUNK, Fact.FAN_OUT): fan_out.fan_out_chunk,
    (Task.LIST, Fact.POST): list_posts.list_posts,
    (Task.LIST, Fact.USER): list_posts.list_posts_of_user,
    (Task.SWITCH_PUSH_PULL, Fact.USER): switch_push_pull.switch_push_pull,
    (Task.BACKFILL, Fact.FOLLOW): backfill_feed.backfill,
    (Task.REFRESH_FEED, Fact.FEED): refresh_feed.refresh_feed,
    (Task.COMPUTE_INTERESTS, Fact.INTEREST): compute_interests.compute_interests,
    (Task.SCREEN, Fact.COMMENT): screen_comments.screen_comments,
    (Task.SCREEN, Fact.POST): screen_content.screen_post,
    (Task.SCREEN, Fact.USER): screen_content.screen_profile,
    (Task.SCREEN, Fact.COLLECTION): screen_content.screen_collection,
    (Task.MOVE_FILES, Fact.POST): move_files.move_files_of_post,
    (Task.MOVE_FILES, Fact.USER): move_files.move_files_of_user,
    (Task.REMOVE_FOLLOWS, Fact.BLOCK): remove_follows.remove_follows,
    (Task.ACCEPT_REQUESTS, Fact.USER): accept_requests.accept_requests,
    (Task.END_SESSIONS, Fact.USER): end_sessions.end_sessions,
    (Task.CLEAN_UP, Fact.UPLOAD): clean_up.clean_upload,
    (Task.CLEAN_UP, Fact.COMMENT): clean_up.clean_comment,
    (Task.CLEAN_UP, Fact.POST): clean_up.clean_post,
    (Task.CLEAN_UP, Fact.USER): delete_account.delete_account,
    (Task.BUILD_EXPORT, Fact.EXPORT): build_export.build_export,
    (Task.CLEAN_UP, Fact.EXPORT): build_export.delete_export,
    (Task.END_SESSIONS, Fact.DECISION): decisions.end_sessions,
    (Task.END_DECISION, Fact.DECISION): decisions.end_decision,
    (Task.PURGE_CDN, Fact.PURGE): purge_cdn.purge_cdn,
    (Task.DELIVER, Fact.WEBHOOK_MESSAGE): deliver_webhooks.deliver_webhooks,
    (Task.SEND_MAIL, Fact.MAIL): send_mails.send_mails,
    **{kind: run for task in PUBLISHING.values() for kind, run in publish_events.publishing(task).items()},
}

_OWNERS: Mapping[JobKind, OwnersFunction] = {
    (Task.INGEST, Fact.UPLOAD): ingest.owners,
    (Task.ADD_FORMATS, Fact.UPLOAD): ingest.owners,
}

HANDLERS: Mapping[JobKind, Handler] = {
    kind: Handler(run, JOBS[kind], _OWNERS.get(kind)) for kind, run in _FUNCTIONS.items()
}
