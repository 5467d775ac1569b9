"""Brings any Pillow image to 8-bit sRGB, with transparency only where there is some."""

from io import BytesIO
from typing import NamedTuple, Self

from PIL import Image, ImageCms, ImageMath

_SRGB = ImageCms.createProfile("sRGB")
_SRGB_GAMMA = 1 / 2.2
_UNSEEN = 0.05  # a gamma that near to sRGB's makes no difference that can be seen: libpng's threshold
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}


class ColourSpace(NamedTuple):
    """What a file says its numbers mean: an ICC profile, or the gamma of a PNG that has none."""

    icc: bytes | None
    gamma: float | None

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """Reads it from an opened file, before its pixels are."""
        info = image.info
        icc, gamma = info.get("icc_profile"), info.get("gamma")
        stated = gamma and not icc and "srgb" not in info and abs(gamma / _SRGB_GAMMA - 1) > _UNSEEN
        return cls(icc or None, gamma if stated else None)


UNSTATED = ColourSpace(None, None)


def is_averageable(image: Image.Image) -> bool:
    """Whether `averageable` would answer this image as it is."""
    return image.mode in ("L", "RGB", "CMYK") and "transparency" not in image.info


def averageable(image: Image.Image) -> Image.Image:
    """Brings an image to a mode whose pixels can be averaged (L, La, RGB, RGBa, CMYK), still in its own colours."""
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in _PREMULTIPLIED:
        return image.convert(_PREMULTIPLIED[image.mode])
    if is_averageable(image):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits rounded to 8; Pillow's own conversion would make all but the darkest white."""
    grey = image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    opaque = ImageMath.lambda_eval(lambda args: (args["grey"] != clear) * 255, grey=image.convert("I"))
    return Image.merge("LA", (grey, opaque.convert("L")))


def to_srgb(image: Image.Image, space: ColourSpace) -> Image.Image:
    """Converts what `averageable` answered from `space` to sRGB; the answer is RGB or RGBA with empty info.

    A profile that is damaged or made for another kind of pixels is left out, as browsers do.
    """
    if image.mode in _STRAIGHT:
        image = image.convert(_STRAIGHT[image.mode])
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha else image
    if space.gamma is not None and opaque.mode in ("L", "RGB"):
        opaque = opaque.point(_gamma_table(space.gamma) * len(opaque.getbands()))
    converted = _through_profile(opaque, space.icc) if space.icc else None
    result = converted or opaque.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        result.putalpha(alpha)
    result.info = {}
    return result


def _gamma_table(gamma: float) -> list[int]:
    """What each 8-bit value of a PNG with this gAMA is in sRGB."""
    linear = [(value / 255) ** (1 / gamma) for value in range(256)]
    return [round(255 * (12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055)) for x in linear]


def _through_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        transform = ImageCms.buildTransform(profile, _SRGB, image.mode, "RGB")
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def on_white(image: Image.Image) -> Image.Image:
    """Shows a transparent image as it looks on a white page; an opaque one is answered as it is."""
    if image.mode != "RGBA":
        return image
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page
