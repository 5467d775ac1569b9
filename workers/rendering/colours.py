"""Brings any Pillow image to 8-bit sRGB, with transparency only where there is some."""

from io import BytesIO

from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")


def resizable(image: Image.Image) -> Image.Image:
    """Brings an image to a mode whose pixels can be averaged (L, LA, RGB, RGBA, CMYK), still in its own colours."""
    if image.mode.startswith("I"):  # 16 bits of grey: the upper eight are kept
        return image.point(lambda value: value * (1 / 257)).convert("L")
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Converts from the profile `icc`, where it fits the pixels, to sRGB; the answer is RGB or RGBA with empty info.

    A profile that is damaged or made for another kind of pixels is left out, as browsers do.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha else image
    converted = _through_profile(opaque, icc) if icc else None
    result = converted or opaque.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        result.putalpha(alpha)
    result.info = {}
    return result


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
