"""Draws renditions of the corpus on one sheet, to see them: `python -m benchmarks.contact_sheet sheet.png`."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw

from benchmarks.lib.photograph import phone_jpeg
from domain.errors import Refusal
from domain.image_formats import RenditionFormat
from tests.support.corpus import corpus
from workers.rendering.pipeline import render
from workers.rendering.rendered import RenderedFile

CELL, TEXT, COLUMNS = 160, 26, 16
CHECKS = ((255, 255, 255), (205, 205, 205))  # behind transparency


def main(
    target: Annotated[Path, typer.Argument(help="The PNG to write.")],
    only: Annotated[str, typer.Option(help="Only files with this in their name.")] = "",
) -> None:
    """Left to right: each file that is rendered, as its poster or smallest rendition that keeps its proportions."""
    sources = [(source.name, source.data) for source in corpus()]
    sources += [(f"photograph {seed}", partial(phone_jpeg, seed)) for seed in (1, 2)]
    cells = [cell for name, make in sources if only in name for cell in _cells(name, make())]
    sheet = Image.new("RGB", (COLUMNS * CELL, -(-len(cells) // COLUMNS) * (CELL + TEXT)), "white")
    for number, (name, picture) in enumerate(cells):
        left, top = number % COLUMNS * CELL, number // COLUMNS * (CELL + TEXT)
        sheet.paste(picture, (left + (CELL - picture.width) // 2, top))
        for line in (0, 1):
            ImageDraw.Draw(sheet).text((left + 2, top + CELL - 2 + 11 * line), name[26 * line :][:26], "black")
    sheet.save(target)


def _cells(name: str, data: bytes) -> list[tuple[str, Image.Image]]:
    """The square and the next size, the latter as WEBP or, if it moves, as the last frame of its GIF."""
    try:
        rendered = render(data)
    except Refusal:
        return []
    square = rendered.renditions[0]
    kind = RenditionFormat.GIF if rendered.is_animated else RenditionFormat.WEBP
    other = next(file for file in rendered.renditions if file.format is kind and file.width >= min(320, rendered.width))
    return [(f"{name} {file.format}", _small(file)) for file in (square, other)]


def _small(file: RenderedFile) -> Image.Image:
    picture = Image.open(BytesIO(file.data))
    picture.seek(getattr(picture, "n_frames", 1) - 1)
    shown = picture.convert("RGBA")
    shown.thumbnail((CELL - 8, CELL - 8))
    ground = Image.new("RGB", shown.size, CHECKS[0])
    draw = ImageDraw.Draw(ground)
    for x in range(0, shown.width, 8):
        for y in range(x % 16, shown.height, 16):
            draw.rectangle((x, y, x + 7, y + 7), fill=CHECKS[1])
    ground.paste(shown, mask=shown.getchannel("A"))
    return ground


if __name__ == "__main__":
    typer.run(main)
