"""The demo's pictures: sixty, always the same, and all within the limits of an upload."""

from functools import cache
from io import BytesIO

from PIL import Image

from deploy.demo.pictures import AVATARS, PICTURES, DemoPicture, avatar, picture
from domain.image_formats import SourceFormat
from domain.limits import ALT_TEXT_MAX, CAPTION_MAX, HASHTAGS_MAX, MAX_IMAGE_BYTES


@cache
def every_picture() -> list[DemoPicture]:
    return [picture(index) for index in range(PICTURES)]


def opened(image: DemoPicture) -> Image.Image:
    return Image.open(BytesIO(image.data))


def test_sixty_pictures_of_all_kinds_are_within_the_limits() -> None:
    pictures = every_picture()
    assert len({image.data for image in pictures}) == 60
    assert len({image.caption for image in pictures}) == 60
    assert {image.format for image in pictures} == {SourceFormat.JPEG, SourceFormat.PNG, SourceFormat.GIF}
    for image in pictures:
        assert opened(image).format == image.format.value
        assert len(image.data) <= MAX_IMAGE_BYTES
        assert 0 < len(image.alt_text) <= ALT_TEXT_MAX
        assert 0 < len(image.caption) <= CAPTION_MAX
        assert image.caption.count("#") <= HASHTAGS_MAX
        assert "@" not in image.caption
    assert sum(getattr(opened(image), "n_frames", 1) > 1 for image in pictures) == 3
    assert sum(opened(image).mode == "RGBA" for image in pictures) == 5


def test_one_picture_is_a_phones_photograph_on_its_side() -> None:
    (photograph,) = [image for image in map(opened, every_picture()) if image.getexif()]
    assert photograph.size == (4032, 3024)
    assert photograph.getexif()[0x0112] == 6
    assert photograph.getexif().get_ifd(0x8825)


def test_same_index_gives_the_same_bytes() -> None:
    assert picture(5) == picture(5) == picture(5 + PICTURES)
    assert avatar(3) == avatar(3) == avatar(3 + AVATARS)


def test_no_two_faces_are_the_same() -> None:
    faces = [avatar(index) for index in range(AVATARS)]
    assert len({face.data for face in faces}) == 10
    assert {opened(face).size for face in faces} == {(512, 512)}
