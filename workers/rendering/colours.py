"""Converts any Pillow image to 8-bit sRGB; only an image that is transparent somewhere keeps an alpha channel."""

from io import BytesIO
from typing import Any, NamedTuple, Self

from PIL import Image, ImageCms, ImageMath

from workers.rendering.colour_spaces import SRGB, Primaries, Space, icc_of, of_code_points, of_gamma, srgb_value

_SRGB = ImageCms.createProfile("sRGB")
_SRGB_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05  # libpng's threshold: the difference from sRGB's gamma is invisible
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}


class ColourSpace(NamedTuple):
    """The colours of a file: its ICC profile, and a space that is used if there is no suitable profile."""

    icc: bytes | None
    space: Space | None

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """Reads the `info` of an opened file, in PNG's order of precedence.

        The order is `cicp`, `icc_profile`, `srgb`, then `gamma` with `chromaticity`.
        """
        if "cicp" in image.info:
            primaries, transfer, _, full = image.info["cicp"]
            named = of_code_points(primaries, transfer, is_full_range=bool(full))
            if named is not None:
                return cls(None, None if named.is_srgb else named)
        return cls(image.info.get("icc_profile") or None, None if "srgb" in image.info else _of_gamma(image.info))


def _of_gamma(info: dict[str | tuple[int, int], Any]) -> Space | None:
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if not gamma:
        return None
    primaries = Primaries(*zip(points[::2], points[1::2], strict=True)) if points else SRGB
    if primaries.is_like(SRGB):
        return of_gamma(gamma) if abs(gamma / _SRGB_GAMMA - 1) > _GAMMA_TOLERANCE else None
    return of_gamma(gamma, primaries)


def is_averageable(image: Image.Image) -> bool:
    """Whether `averageable` returns this image unchanged."""
    return image.mode in ("L", "RGB", "CMYK") and "transparency" not in image.info


def averageable(image: Image.Image) -> Image.Image:
    """Converts to a mode whose pixels can be averaged (L, La, RGB, RGBa, CMYK); the colour space stays the same."""
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
    """Rounds grey of 16 bits to 8 bits; Pillow's own conversion makes nearly all values white."""
    grey = image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    opaque = ImageMath.lambda_eval(lambda args: (args["grey"] != clear) * 255, grey=image.convert("I"))
    return Image.merge("LA", (grey, opaque.convert("L")))


def to_srgb(image: Image.Image, space: ColourSpace) -> Image.Image:
    """Converts a result of `averageable` from `space` to sRGB; returns RGB or RGBA with empty `info`.

    As in browsers, a profile that is damaged or made for another kind of pixels is ignored.
    """
    if image.mode in _STRAIGHT:
        image = image.convert(_STRAIGHT[image.mode])
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha else image
    result = (space.icc and _through_profile(opaque, space.icc)) or _from_space(opaque, space.space).convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        result.putalpha(alpha)
    result.info = {}
    return result


def _from_space(image: Image.Image, space: Space | None) -> Image.Image:
    if space is None or image.mode not in ("L", "RGB"):
        return image
    if image.mode == "L" or space.has_primaries_of_srgb:  # the channels are independent
        return image.point([srgb_value(light) for light in space.curve] * len(image.getbands()))
    return _through_profile(image, icc_of(space)) or image


def _through_profile(image: Image.Image, icc: bytes) -> Image.Image | None:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        transform = ImageCms.buildTransform(profile, _SRGB, image.mode, "RGB")
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def on_white(image: Image.Image) -> Image.Image:
    """Lays a transparent image on white; returns an opaque image unchanged."""
    if image.mode != "RGBA":
        return image
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page
