"""Which quality is worth its bytes: SSIM and size by format, width and quality: `python -m benchmarks.quality`."""

from io import BytesIO
from statistics import mean
from typing import Annotated, Any

import typer
from PIL import Image, ImageMath

from benchmarks.lib.photograph import phone_jpeg
from benchmarks.lib.report import Table, show
from workers.rendering.source import open_source
from workers.rendering.still import pyramid

GRAINS = {"bright": 0.3, "ordinary": 1.0, "dark": 2.5}  # a sensor's noise, by how much light there was
WAYS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "JPEG": ("JPEG", {"optimize": True}, (70, 75, 80, 82, 85, 90)),
    "JPEG, progressive": ("JPEG", {"optimize": True, "progressive": True}, (82,)),
    "WEBP": ("WEBP", {"method": 2}, (65, 70, 75, 80, 85, 90)),
    "WEBP, method 4": ("WEBP", {"method": 4}, (80,)),
    "AVIF": ("AVIF", {"speed": 9, "max_threads": 1}, (50, 55, 60, 65, 70)),
}
_BLOCK = 8
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(picture: Image.Image, wanted: Image.Image) -> float:
    """How alike the light of two pictures is, 1 for the same: Wang et al. 2004, over blocks of 8 x 8 side by side."""
    x, y = (image.convert("L").convert("F") for image in (picture, wanted))
    products = [
        ImageMath.lambda_eval(lambda args: args["a"] * args["b"], a=a, b=b) for a, b in ((x, x), (y, y), (x, y))
    ]
    means = [image.reduce(_BLOCK) for image in (x, y, *products)]
    blocks = ImageMath.lambda_eval(_ssim_of_block, **dict(zip(("x", "y", "xx", "yy", "xy"), means, strict=True)))
    return mean(memoryview(blocks.tobytes()).cast("f"))


def _ssim_of_block(args: dict[str, Any]) -> Any:
    x, y = args["x"], args["y"]
    both = args["xy"] - x * y
    spread = args["xx"] - x * x + args["yy"] - y * y
    return ((x * y * 2 + _C1) * (both * 2 + _C2)) / ((x * x + y * y + _C1) * (spread + _C2))


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Photographs of each kind.")] = 2,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Saves every rendition of several photographs in every way, and prints means."""
    photographs = [
        phone_jpeg(seed, level=True, grain=grain) for grain in GRAINS.values() for seed in range(1, seeds + 1)
    ]
    ladders = [pyramid(open_source(data).image)[0] for data in photographs]
    table = Table(
        f"SSIM and kilobytes, {len(ladders)} photographs, a third each {', '.join(GRAINS)}",
        ["format", "quality", *(f"{level.width} wide" for level in ladders[0])],
    )
    for name, (kind, options, qualities) in WAYS.items():
        for quality in qualities:
            cells = [_cell(list(level), kind, {**options, "quality": quality}) for level in zip(*ladders, strict=True)]
            table.rows.append([name, str(quality), *cells])
    show([table], ["pillow"], markdown=markdown)


def _cell(pictures: list[Image.Image], kind: str, options: dict[str, Any]) -> str:
    files = [_saved(picture, kind, options) for picture in pictures]
    likeness = [ssim(Image.open(BytesIO(data)), picture) for data, picture in zip(files, pictures, strict=True)]
    return f"{mean(likeness):.4f} / {mean(map(len, files)) / 1000:.1f}"


def _saved(picture: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    typer.run(main)
