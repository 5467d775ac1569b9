"""What the system does in the background, on one screen: which function pays which effect of which fact."""

from collections.abc import Mapping

from datasources.feed.fan_outs import LEASE
from domain.events import Effect, Fact
from workers import (
    counters,
    feed,
    janitor,
    leaving,
    like_notices,
    media,
    notifications,
    placing,
    refining,
    screening,
    shifting,
    tending,
    weighing,
)
from workers.work import Handler

HANDLERS: Mapping[tuple[Effect, Fact], Handler] = {
    (Effect.COUNT, Fact.POST_LIKE): Handler(counters.settle_post_likes, batch=counters.BATCH),
    (Effect.COUNT, Fact.COMMENT_LIKE): Handler(counters.settle_comment_likes, batch=counters.BATCH),
    (Effect.COUNT, Fact.COMMENT): Handler(counters.settle_comments, batch=counters.BATCH),
    (Effect.COUNT, Fact.POST): Handler(counters.settle_posts, batch=counters.BATCH),
    (Effect.COUNT, Fact.FOLLOW): Handler(counters.settle_followers, batch=counters.BATCH),
    (Effect.COUNT_FOLLOWING, Fact.FOLLOW): Handler(counters.settle_following, batch=counters.BATCH),
    (Effect.NOTIFY, Fact.POST_LIKE): Handler(like_notices.notify_post_likes, batch=like_notices.BATCH),
    (Effect.NOTIFY, Fact.COMMENT_LIKE): Handler(like_notices.notify_comment_likes, batch=like_notices.BATCH),
    (Effect.NOTIFY, Fact.COMMENT): Handler(notifications.notify_comments, batch=notifications.BATCH),
    (Effect.NOTIFY, Fact.FOLLOW): Handler(notifications.notify_follows, batch=notifications.BATCH),
    (Effect.NOTIFY, Fact.POST): Handler(notifications.notify_post),
    (Effect.RECEIVE, Fact.UPLOAD): Handler(media.receive, seconds=180, owners=media.owners),
    (Effect.REFINE, Fact.UPLOAD): Handler(refining.refine, seconds=180, owners=media.owners),
    (Effect.ASSEMBLE, Fact.POST): Handler(media.assemble),
    (Effect.FAN_OUT, Fact.POST): Handler(feed.fan_out, seconds=600, batch=feed.BATCH),
    (Effect.PUSH, Fact.FAN_OUT): Handler(feed.push, seconds=LEASE.total_seconds()),
    (Effect.SHIFT, Fact.USER): Handler(shifting.shift, seconds=600),
    (Effect.FILL, Fact.FOLLOW): Handler(feed.fill, seconds=600),
    (Effect.TEND, Fact.FEED): Handler(tending.tend, seconds=120),
    (Effect.WEIGH, Fact.INTEREST): Handler(weighing.weigh),
    (Effect.SCREEN, Fact.COMMENT): Handler(screening.screen_comments, batch=screening.BATCH),
    (Effect.PLACE, Fact.POST): Handler(placing.place_post, seconds=600),
    (Effect.PLACE, Fact.USER): Handler(placing.place_user, seconds=600),
    (Effect.SEVER, Fact.BLOCK): Handler(janitor.sever),
    (Effect.GRANT, Fact.USER): Handler(janitor.grant, seconds=600),
    (Effect.CLEAN, Fact.UPLOAD): Handler(janitor.clean_upload),
    (Effect.CLEAN, Fact.COMMENT): Handler(janitor.clean_comment, seconds=600),
    (Effect.CLEAN, Fact.POST): Handler(janitor.clean_post, seconds=600),
    (Effect.CLEAN, Fact.USER): Handler(leaving.leave, seconds=600),
}
