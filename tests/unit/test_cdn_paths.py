"""The paths that CloudFront drops: few, and none with files of others."""

from collections.abc import Iterable

from bson import ObjectId

from datasources.s3.cdn import MAX_FOLDERS, paths_of
from datasources.s3.keys import account_part, folder_of
from domain.visibility import Area

ANA, BOB = ObjectId(), ObjectId()


def keys(folders: Iterable[str], area: Area = Area.PUBLIC) -> list[str]:
    return [f"{area.value}/{folder}/0/{name}.jpg" for folder in folders for name in "abc"]


def test_a_post_of_many_images_is_one_path() -> None:
    post_id = ObjectId()
    of_post = keys(folder_of(ANA, ObjectId(), post_id) for _ in range(10))
    assert paths_of(of_post) == [f"public/{account_part(ANA)}/{post_id}/*"]


def test_many_posts_and_avatars_of_an_account_are_one_path() -> None:
    of_account = keys(folder_of(ANA, ObjectId(), ObjectId()) for _ in range(MAX_FOLDERS))
    assert len(paths_of(of_account)) == MAX_FOLDERS
    with_avatar = [*of_account, *keys([folder_of(ANA, ObjectId())])]
    assert paths_of(with_avatar) == [f"public/{account_part(ANA)}/*"]
    others = keys([folder_of(BOB, ObjectId(), ObjectId())])
    assert len(paths_of([*with_avatar, *others])) == 2


def test_files_with_keys_of_the_older_form_are_a_path_for_each_upload() -> None:
    upload_ids = [ObjectId() for _ in range(MAX_FOLDERS + 2)]
    assert paths_of(keys(map(str, upload_ids))) == sorted(f"public/{upload_id}/*" for upload_id in upload_ids)


def test_private_files_are_no_path() -> None:
    assert paths_of(keys([folder_of(ANA, ObjectId())], Area.PRIVATE)) == []
