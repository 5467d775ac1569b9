"""What the system does in the background, on one screen: which function pays which effect of which fact."""

from collections.abc import Mapping

from datasources.feed.fan_outs import LEASE
from domain.jobs import Fact, Task
from workers.handlers import (
    add_formats,
    aggregate_counters,
    clean_up,
    compute_interests,
    delete_account,
    fan_out,
    ingest,
    move_files,
    notify,
    notify_likes,
    refresh_feed,
    screen_comments,
    switch_push_pull,
)
from workers.runtime.handler import Handler

HANDLERS: Mapping[tuple[Task, Fact], Handler] = {
    (Task.COUNT, Fact.POST_LIKE): Handler(aggregate_counters.count_post_likes, batch=aggregate_counters.BATCH),
    (Task.COUNT, Fact.COMMENT_LIKE): Handler(aggregate_counters.count_comment_likes, batch=aggregate_counters.BATCH),
    (Task.COUNT, Fact.COMMENT): Handler(aggregate_counters.count_comments, batch=aggregate_counters.BATCH),
    (Task.COUNT, Fact.POST): Handler(aggregate_counters.count_posts, batch=aggregate_counters.BATCH),
    (Task.COUNT, Fact.FOLLOW): Handler(aggregate_counters.count_followers, batch=aggregate_counters.BATCH),
    (Task.COUNT_FOLLOWING, Fact.FOLLOW): Handler(aggregate_counters.count_following, batch=aggregate_counters.BATCH),
    (Task.NOTIFY, Fact.POST_LIKE): Handler(notify_likes.notify_post_likes, batch=notify_likes.BATCH),
    (Task.NOTIFY, Fact.COMMENT_LIKE): Handler(notify_likes.notify_comment_likes, batch=notify_likes.BATCH),
    (Task.NOTIFY, Fact.COMMENT): Handler(notify.notify_comments, batch=notify.BATCH),
    (Task.NOTIFY, Fact.FOLLOW): Handler(notify.notify_follows, batch=notify.BATCH),
    (Task.NOTIFY, Fact.POST): Handler(notify.notify_post),
    (Task.INGEST, Fact.UPLOAD): Handler(ingest.ingest, seconds=180, owners=ingest.owners),
    (Task.ADD_FORMATS, Fact.UPLOAD): Handler(add_formats.add_formats, seconds=180, owners=ingest.owners),
    (Task.COMPLETE_POST, Fact.POST): Handler(ingest.complete_post),
    (Task.FAN_OUT, Fact.POST): Handler(fan_out.fan_out, seconds=600, batch=fan_out.BATCH),
    (Task.FAN_OUT_CHUNK, Fact.FAN_OUT): Handler(fan_out.fan_out_chunk, seconds=LEASE.total_seconds()),
    (Task.SWITCH_PUSH_PULL, Fact.USER): Handler(switch_push_pull.switch_push_pull, seconds=600),
    (Task.BACKFILL, Fact.FOLLOW): Handler(fan_out.backfill, seconds=600),
    (Task.REFRESH_FEED, Fact.FEED): Handler(refresh_feed.refresh_feed, seconds=120),
    (Task.COMPUTE_INTERESTS, Fact.INTEREST): Handler(compute_interests.compute_interests),
    (Task.SCREEN, Fact.COMMENT): Handler(screen_comments.screen_comments, batch=screen_comments.BATCH),
    (Task.MOVE_FILES, Fact.POST): Handler(move_files.move_files_of_post, seconds=600),
    (Task.MOVE_FILES, Fact.USER): Handler(move_files.move_files_of_user, seconds=600),
    (Task.REMOVE_FOLLOWS, Fact.BLOCK): Handler(clean_up.remove_follows),
    (Task.ACCEPT_REQUESTS, Fact.USER): Handler(clean_up.accept_requests, seconds=600),
    (Task.CLEAN_UP, Fact.UPLOAD): Handler(clean_up.clean_upload),
    (Task.CLEAN_UP, Fact.COMMENT): Handler(clean_up.clean_comment, seconds=600),
    (Task.CLEAN_UP, Fact.POST): Handler(clean_up.clean_post, seconds=600),
    (Task.CLEAN_UP, Fact.USER): Handler(delete_account.delete_account, seconds=600),
}
