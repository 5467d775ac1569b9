"""Pictures with a word hidden in every place of a file that is not a pixel, and the search for such words."""

import contextlib
import secrets
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from datasources.media.source_formats import formats_taken
from domain.image_formats import SourceFormat
from tests.support.pictures import heic, moving, quarters, saved

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
_PNG = b"\x89PNG\r\n\x1a\n"


class Canaries:
    """Makes words that occur nowhere else, one for each hiding place."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def word(self, place: str) -> str:
        return self.words.setdefault(place, f"CANARY{secrets.token_hex(8)}")

    def hidden(self, place: str) -> bytes:
        return self.word(place).encode()

    def found(self, data: bytes) -> set[str]:
        """The hiding places whose words are in these bytes, also compressed or in UTF-16."""
        seen = b"\n".join([data, *_unpacked(data)])
        forms = {
            place: [word.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
            for place, word in self.words.items()
        }
        return {place for place, words in forms.items() if any(word in seen for word in words)}


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What is compressed in a PNG's chunks, but for its pixels."""
    at = len(_PNG)
    while data.startswith(_PNG) and at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        at += 12 + length
        for start in range(len(body)) if kind != b"IDAT" else ():
            if body[start] == 0x78:  # where zlib's streams begin
                with contextlib.suppress(zlib.error):
                    yield zlib.decompressobj().decompress(body[start:])


def jpeg(canaries: Canaries) -> bytes:
    """EXIF with GPS, maker note and thumbnail, XMP, IPTC, ICC, comments, an unknown segment, bytes after the end."""
    data = saved(
        quarters(),
        "JPEG",
        exif=_exif(canaries),
        icc_profile=_profile(canaries.hidden("icc")),
        comment=canaries.hidden("comment"),
    )
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + canaries.hidden("xmp") + b"</x:xmpmeta>"
    caption = canaries.hidden("iptc")
    dataset = b"\x1c\x02\x78" + struct.pack(">H", len(caption)) + caption
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(dataset)) + dataset + b"\0" * (len(dataset) % 2)
    added = [
        (0xE1, xmp),
        (0xE1, b"Exif\0\0" + _thumbnail_exif(canaries.hidden("thumbnail"))),
        (0xED, b"Photoshop 3.0\0" + resource),
        (0xEF, canaries.hidden("unknown segment")),
        (0xFE, canaries.hidden("second comment")),
    ]
    segments = b"".join(struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body for mark, body in added)
    return data[:2] + segments + data[2:] + canaries.hidden("after the end")


def png(canaries: Canaries) -> bytes:
    """Text chunks of all three kinds, EXIF, XMP, ICC, a private chunk, bytes after the end."""
    texts = PngInfo()
    texts.add_text("Comment", canaries.word("tEXt"))
    texts.add_text("Author", canaries.word("zTXt"), zip=True)
    texts.add_itxt("Title", canaries.word("iTXt"), lang="en")
    texts.add_itxt("Description", canaries.word("compressed iTXt"), zip=True)
    texts.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{canaries.word('xmp')}</x:xmpmeta>")
    texts.add(b"prVt", canaries.hidden("private chunk"))
    picture = quarters().convert("RGBA")
    picture.putalpha(200)
    profile = _profile(canaries.hidden("icc"))
    data = saved(picture, "PNG", pnginfo=texts, exif=_exif(canaries), icc_profile=profile)
    return data + canaries.hidden("after the end")


def gif(canaries: Canaries) -> bytes:
    """Comments, XMP and other application extensions, plain text, bytes after the end."""
    return _with_extensions(saved(quarters().quantize(16), "GIF"), canaries)


def moving_gif(canaries: Canaries) -> bytes:
    """As `gif`, of several frames."""
    return _with_extensions(moving(), canaries)


def webp(canaries: Canaries) -> bytes:
    """EXIF, XMP, ICC, bytes after the end."""
    return saved(quarters(), "WEBP", **_metadata(canaries)) + canaries.hidden("after the end")


def avif(canaries: Canaries) -> bytes:
    """The same."""
    return saved(quarters(), "AVIF", speed=10, **_metadata(canaries)) + canaries.hidden("after the end")


def heic_with_thumbnail(canaries: Canaries) -> bytes:
    """The same; also a thumbnail."""
    return heic(quarters(), thumbnails=[128], **_metadata(canaries)) + canaries.hidden("after the end")


def _metadata(canaries: Canaries) -> dict[str, Any]:
    xmp = b"<x:xmpmeta>" + canaries.hidden("xmp") + b"</x:xmpmeta>"
    return {"exif": _exif(canaries), "xmp": xmp, "icc_profile": _profile(canaries.hidden("icc"))}


PICTURES: dict[str, Callable[[Canaries], bytes]] = {
    "JPEG": jpeg,
    "PNG": png,
    "GIF": gif,
    "moving GIF": moving_gif,
    "WEBP": webp,
    "AVIF": avif,
    **({"HEIC": heic_with_thumbnail} if SourceFormat.HEIC in formats_taken() else {}),
}


def _exif(canaries: Canaries) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = canaries.word("exif description")
    exif[ExifTags.Base.Artist] = canaries.word("exif artist")
    exif[ExifTags.Base.XPComment] = canaries.word("exif windows comment").encode("utf-16-le")
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.UserComment] = b"ASCII\0\0\0" + canaries.hidden("exif user comment")
    inner[ExifTags.Base.MakerNote] = canaries.hidden("exif maker note")
    inner[ExifTags.Base.BodySerialNumber] = canaries.word("exif serial number")
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (53.0, 32.0, 47.11)
    gps[ExifTags.GPS.GPSAreaInformation] = b"ASCII\0\0\0" + canaries.hidden("gps area")
    return exif.tobytes()


def _thumbnail_exif(hidden: bytes) -> bytes:
    """A TIFF whose second directory holds a JPEG, with a comment in it."""
    small = saved(Image.new("RGB", (16, 16), "red"), "JPEG", comment=hidden)
    entries = [(0x0201, 4, 1, 44), (0x0202, 4, 1, len(small))]
    second = struct.pack("<H", 2) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<IHI", 8, 0, 14) + second + small


def _profile(hidden: bytes) -> bytes:
    """An sRGB profile whose description and copyright are the hidden word, as far as they are long."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        tag, offset, size = struct.unpack(">4sII", profile[132 + 12 * number : 144 + 12 * number])
        if tag in (b"desc", b"cprt"):
            at, room = offset + 28, size - 28  # past the header of a text with one translation
            text = hidden.decode().encode("utf-16-be")
            if room < len(text):  # it is put at the end, where there is room for it
                at = len(profile)
                profile += text
                struct.pack_into(">II", profile, offset + 20, len(text), at - offset)
                struct.pack_into(">I", profile, 132 + 12 * number + 8, at - offset + len(text))
            else:
                profile[at : at + len(text)] = text
    struct.pack_into(">I", profile, 0, len(profile))
    return bytes(profile)


def _with_extensions(data: bytes, canaries: Canaries) -> bytes:
    def blocks(body: bytes) -> bytes:
        return bytes([len(body)]) + body + b"\0"

    table = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    start = 13 + table
    grid = struct.pack("<HHHHBBBB", 0, 0, 8, 8, 8, 8, 1, 0)
    added = [
        b"\x21\xfe" + blocks(canaries.hidden("gif comment")),
        b"\x21\xff\x0bXMP DataXMP" + blocks(canaries.hidden("gif xmp")),
        b"\x21\xff\x0bCANARYAP1.0" + blocks(canaries.hidden("gif application")),
        b"\x21\x01\x0c" + grid + blocks(canaries.hidden("gif plain text")),
    ]
    return data[:start] + b"".join(added) + data[start:] + canaries.hidden("after the end")
