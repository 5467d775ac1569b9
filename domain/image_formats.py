"""The image formats that are taken and served, and how a file tells its own."""

from enum import StrEnum

from domain.limits import MAX_IMAGE_PIXELS, MAX_WEB_PIXELS


class SourceFormat(StrEnum):
    """Image formats that can be uploaded; some need an optional decoder (`datasources/media/source_formats.py`)."""

    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    WEBP = "WEBP"
    AVIF = "AVIF"
    HEIC = "HEIC"

    @property
    def media_type(self) -> str:
        return f"image/{self.value.lower()}"

    @property
    def max_pixels(self) -> int:
        """Largest width times height of a still picture."""
        return MAX_WEB_PIXELS if self in (SourceFormat.WEBP, SourceFormat.AVIF) else MAX_IMAGE_PIXELS

    @property
    def label(self) -> str:
        return "WebP" if self is SourceFormat.WEBP else self.value

    @classmethod
    def of(cls, head: bytes) -> "SourceFormat | None":
        """The format that a file's first `SIGNATURE_BYTES` bytes claim; whether it is one, decoding tells."""
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return cls.WEBP
        if head[4:8] == b"ftyp":
            return cls._of_brands(head)
        return next((each for signature, each in _SIGNATURES.items() if head.startswith(signature)), None)

    @classmethod
    def _of_brands(cls, head: bytes) -> "SourceFormat | None":
        """A container names its brand, and others that it is compatible with: the first that we know counts."""
        end = min(int.from_bytes(head[:4]), SIGNATURE_BYTES)
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


_SIGNATURES = {
    b"\xff\xd8\xff": SourceFormat.JPEG,
    b"\x89PNG\r\n\x1a\n": SourceFormat.PNG,
    b"GIF87a": SourceFormat.GIF,
    b"GIF89a": SourceFormat.GIF,
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), SourceFormat.AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), SourceFormat.HEIC),
}
SIGNATURE_BYTES = 64  # a container's brands, a dozen of them


class RenditionFormat(StrEnum):
    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    WEBP = "WEBP"
    AVIF = "AVIF"

    @property
    def media_type(self) -> str:
        return f"image/{self.value.lower()}"
