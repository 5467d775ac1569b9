"""Files of other formats, files with only the first bytes of an image, and files of two formats at once."""

import zipfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO

from PIL.PngImagePlugin import PngInfo

from datasources.media.source_formats import formats_taken
from domain.errors import UserErrorCode
from domain.image_formats import SourceFormat
from tests.support.corpus.case import Case, Shown, case
from tests.support.corpus.writing import jpeg_with
from tests.support.pictures import quarters, saved

SIZE = (200, 160)
SCRIPT = b"<script>alert('CANARY')</script>"
UNSUPPORTED, CORRUPT = UserErrorCode.UNSUPPORTED_FORMAT, UserErrorCode.IMAGE_CORRUPT
NOT_IMAGES = {
    "HTML": b"<!doctype html><html><body>" + SCRIPT,
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run\n",
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(64),
    "MP4": b"\0\0\0\x18ftypmp42" + bytes(64),
    "HEIF of another codec": b"\0\0\0\x18ftypmif1\0\0\0\0mif1vvic" + bytes(64),
    "HEIF of a brand behind its list": b"\0\0\0\x14ftypmif1\0\0\0\0mif1avif" + bytes(64),
    "WAVE": b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
    "gzip": b"\x1f\x8b\x08" + bytes(64),
    "ImageMagick script": b"push graphic-context\nfill 'url(https://example.com/\"|ls \"-la)'\npop graphic-context",
    "zeros": bytes(1000),
    "one byte": b"\xff",
    "text": b"GIF, JPEG or PNG?",
    "empty lines before a GIF": b"\n\n" + saved(quarters((10, 10)), "GIF"),
}


def masquerades() -> list[Case]:
    return [*_others(), *_headers_only(), *_polyglots()]


def _others() -> Iterator[Case]:
    if SourceFormat.HEIC not in formats_taken():
        yield case("HEIC without its decoder", partial(bytes, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), UNSUPPORTED)
    for name, data in NOT_IMAGES.items():
        yield case(name, partial(bytes, data), UNSUPPORTED)
    yield case("ZIP", _zip, UNSUPPORTED)
    for name in ("TIFF", "BMP", "PPM", "ICO", "TGA", "JPEG2000", "DDS", "PCX"):
        yield case(name, partial(saved, quarters((64, 64)), name), UNSUPPORTED)


def _zip() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.html"), SCRIPT)  # always dated 1980
    return buffer.getvalue()


def _headers_only() -> Iterator[Case]:
    heads = {
        "JPEG": b"\xff\xd8\xff\xe0",
        "PNG": b"\x89PNG\r\n\x1a\n",
        "GIF": b"GIF89a",
        "WEBP": b"RIFF\xff\0\0\0WEBPVP8 ",
        "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        "HEIC": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
    }
    for name, head in heads.items():
        refusal = CORRUPT if SourceFormat(name) in formats_taken() else UNSUPPORTED
        for behind in (b"", SCRIPT, bytes(500), b"\xff" * 500, _zip()):
            yield case(f"{name}'s first bytes and {behind[:12]!r}", partial(bytes, head + behind), refusal)


def _polyglots() -> Iterator[Case]:
    """These are pictures: they are rendered, without their other content."""
    jpeg, png, gif, webp, avif = (saved(quarters(SIZE), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF"))
    script = PngInfo()
    script.add_text("Comment", SCRIPT.decode())
    gif_comment = b"\x21\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0"
    palette_end = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    for name, data in {
        "JPEG and HTML": jpeg_with(jpeg, (0xFE, SCRIPT)),
        "JPEG and HTML behind it": jpeg + SCRIPT,
        "JPEG and PHP": jpeg_with(jpeg, (0xE1, b"Exif\0\0<?php system('CANARY'); ?>")),
        "JPEG and ZIP": jpeg + _zip(),
        "PNG and HTML": saved(quarters(SIZE), "PNG", pnginfo=script),
        "PNG and ZIP": png + _zip(),
        "GIF and JavaScript": gif + b"*/=1;alert('CANARY')//",
        "GIF and HTML": gif[:palette_end] + gif_comment + gif[palette_end:],
        "GIF and JPEG": gif + jpeg,
        "WebP and HTML": webp + SCRIPT,
        "WebP and JPEG": webp + jpeg,
        "AVIF and HTML": avif + SCRIPT,
        "AVIF and ZIP": avif + _zip(),
    }.items():
        yield case(name, partial(bytes, data), Shown(SIZE))
