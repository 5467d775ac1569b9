"""What the system does in the background, on one screen: which function pays which effect of which fact."""

from collections.abc import Mapping

from datasources.feed.fan_outs import LEASE
from domain.jobs import Effect, Fact
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

HANDLERS: Mapping[tuple[Effect, Fact], Handler] = {
    (Effect.COUNT, Fact.POST_LIKE): Handler(aggregate_counters.settle_post_likes, batch=aggregate_counters.BATCH),
    (Effect.COUNT, Fact.COMMENT_LIKE): Handler(aggregate_counters.settle_comment_likes, batch=aggregate_counters.BATCH),
    (Effect.COUNT, Fact.COMMENT): Handler(aggregate_counters.settle_comments, batch=aggregate_counters.BATCH),
    (Effect.COUNT, Fact.POST): Handler(aggregate_counters.settle_posts, batch=aggregate_counters.BATCH),
    (Effect.COUNT, Fact.FOLLOW): Handler(aggregate_counters.settle_followers, batch=aggregate_counters.BATCH),
    (Effect.COUNT_FOLLOWING, Fact.FOLLOW): Handler(aggregate_counters.settle_following, batch=aggregate_counters.BATCH),
    (Effect.NOTIFY, Fact.POST_LIKE): Handler(notify_likes.notify_post_likes, batch=notify_likes.BATCH),
    (Effect.NOTIFY, Fact.COMMENT_LIKE): Handler(notify_likes.notify_comment_likes, batch=notify_likes.BATCH),
    (Effect.NOTIFY, Fact.COMMENT): Handler(notify.notify_comments, batch=notify.BATCH),
    (Effect.NOTIFY, Fact.FOLLOW): Handler(notify.notify_follows, batch=notify.BATCH),
    (Effect.NOTIFY, Fact.POST): Handler(notify.notify_post),
    (Effect.RECEIVE, Fact.UPLOAD): Handler(ingest.receive, seconds=180, owners=ingest.owners),
    (Effect.REFINE, Fact.UPLOAD): Handler(add_formats.refine, seconds=180, owners=ingest.owners),
    (Effect.ASSEMBLE, Fact.POST): Handler(ingest.assemble),
    (Effect.FAN_OUT, Fact.POST): Handler(fan_out.fan_out, seconds=600, batch=fan_out.BATCH),
    (Effect.PUSH, Fact.FAN_OUT): Handler(fan_out.push, seconds=LEASE.total_seconds()),
    (Effect.SHIFT, Fact.USER): Handler(switch_push_pull.shift, seconds=600),
    (Effect.FILL, Fact.FOLLOW): Handler(fan_out.fill, seconds=600),
    (Effect.TEND, Fact.FEED): Handler(refresh_feed.tend, seconds=120),
    (Effect.WEIGH, Fact.INTEREST): Handler(compute_interests.weigh),
    (Effect.SCREEN, Fact.COMMENT): Handler(screen_comments.screen_comments, batch=screen_comments.BATCH),
    (Effect.PLACE, Fact.POST): Handler(move_files.place_post, seconds=600),
    (Effect.PLACE, Fact.USER): Handler(move_files.place_user, seconds=600),
    (Effect.SEVER, Fact.BLOCK): Handler(clean_up.sever),
    (Effect.GRANT, Fact.USER): Handler(clean_up.grant, seconds=600),
    (Effect.CLEAN, Fact.UPLOAD): Handler(clean_up.clean_upload),
    (Effect.CLEAN, Fact.COMMENT): Handler(clean_up.clean_comment, seconds=600),
    (Effect.CLEAN, Fact.POST): Handler(clean_up.clean_post, seconds=600),
    (Effect.CLEAN, Fact.USER): Handler(delete_account.leave, seconds=600),
}
