"""The demo's plan: always the same, and nobody in it does what the product forbids."""

from datetime import UTC, datetime, timedelta

from datasources.accounts.common_passwords import is_common
from datasources.mongo.sharded_ids import new_id
from deploy.demo.people import BY_NAME, DEMO_USERNAME, PEOPLE, fixed_id, friends_of, user_id
from deploy.demo.story import EXAMPLE, POSTS, planned_posts
from domain.limits import IMAGES_PER_DAY, IMAGES_PER_POST
from domain.password_rules import checked_password
from domain.text import checked_biography, checked_website, hashtags
from domain.trending import Use, recent_authors
from domain.usernames import checked_username, is_reserved

NOW = datetime(2027, 3, 1, 0, 30, tzinfo=UTC)


def test_plan_is_the_same_however_much_of_it_is_asked_for() -> None:
    assert planned_posts(7) == planned_posts()[:7]
    assert len({post.number for post in planned_posts()}) == POSTS


def test_everybody_posts_and_the_demo_user_sees_most_of_it() -> None:
    posts = planned_posts()
    assert {post.author for post in posts} == set(BY_NAME)
    seen = {DEMO_USERNAME, *BY_NAME[DEMO_USERNAME].follows}
    assert sum(post.author in seen for post in posts) >= 40


def test_private_posts_are_touched_by_friends_only() -> None:
    private = [person.username for person in PEOPLE if person.is_private]
    assert private
    for post in planned_posts():
        if post.author in private:
            crowd = {*post.likers, *(comment.author for comment in post.comments)}
            assert crowd <= friends_of(post.author) | {post.author}


def test_answers_follow_their_comments_and_nothing_is_in_the_future() -> None:
    for post in planned_posts():
        assert post.made_at(NOW) < NOW
        for place, comment in enumerate(post.comments):
            assert post.made_at(NOW) + comment.after < NOW
            if comment.answers is not None:
                parent = post.comments[comment.answers]
                assert comment.answers < place
                assert parent.answers is None
                assert parent.after <= comment.after


def test_three_people_share_a_hashtag_on_the_last_day() -> None:
    public = {person.username for person in PEOPLE if not person.is_private}
    uses = [
        Use(name, user_id(post.author), post.made_at(NOW))
        for post in planned_posts()
        if post.author in public and post.age < timedelta(days=1)
        for name in hashtags(post.added)
    ]
    assert "colourstudy" in recent_authors(uses, NOW)


def test_no_quota_is_passed_and_the_demo_user_has_all_of_today() -> None:
    used: dict[tuple[str, str], int] = {}
    for post in planned_posts():
        assert 1 + post.slices <= IMAGES_PER_POST
        day = (post.author, post.made_at(NOW).strftime("%Y-%m-%d"))
        used[day] = used.get(day, 0) + 1 + post.slices
    assert max(used.values()) <= IMAGES_PER_DAY
    assert (DEMO_USERNAME, NOW.strftime("%Y-%m-%d")) not in used


def test_example_is_not_liked_by_the_demo_user_yet() -> None:
    assert DEMO_USERNAME not in planned_posts()[EXAMPLE].likers


def test_people_could_have_registered() -> None:
    for person in PEOPLE:
        assert checked_username(person.username) == person.username
        assert not is_reserved(person.username)
        assert checked_biography(person.biography) == person.biography
        assert checked_website(person.website) == person.website
        assert set(person.follows) <= set(BY_NAME) - {person.username}
        assert checked_password("photogram-demo", (person.username,), is_common)


def test_ids_sort_by_their_moment() -> None:
    later = NOW + timedelta(seconds=1)
    author_id = user_id(DEMO_USERNAME)
    assert fixed_id(NOW, 5) < new_id(author_id, later) < fixed_id(later + timedelta(seconds=1), 0)
    assert fixed_id(NOW, 5) == fixed_id(NOW, 5)
    assert new_id(author_id, NOW) != new_id(author_id, NOW)
    assert len({user_id(person.username) for person in PEOPLE}) == len(PEOPLE)
