"""How long others wait while one user's slow animations are rendered: `python -m benchmarks.behind_slow`."""

import asyncio
from io import BytesIO
from typing import Annotated

import httpx2
import typer
from PIL import Image, ImageDraw

from benchmarks.lib.photograph import phone_jpeg
from benchmarks.lib.report import Table, percentile, show
from benchmarks.lib.stack import Api, finish
from benchmarks.lib.world import users
from benchmarks.ready import LONGEST, PATIENCE, Client, Seen, render_stack, watched
from config import Settings
from datasources.sources import open_sources

STEP = "post READY"


def main(
    photographs: Annotated[int, typer.Option(min=1, help="Small JPEGs, each of another user, all at once.")] = 50,
    animations: Annotated[int, typer.Option(min=0, max=10, help="Slow GIFs of one user, sent before.")] = 6,
    processes: Annotated[int, typer.Option(min=1, help="Rendering children of the worker.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends small photographs, first alone and then right after somebody's slow animations."""
    title = f"{photographs} small JPEGs of as many users, from the end of each PUT to the post's READY, ms"
    table = Table(title, ["", "p50", "p90", "p90 against alone"])
    with render_stack(processes) as settings:
        alone = finish(_measure(settings, photographs, 0), LONGEST)
        behind = finish(_measure(settings, photographs, animations), LONGEST)
    for name, seen in (("alone", alone), (f"behind {animations} slow GIFs of one user", behind)):
        p50, p90 = (percentile([one[STEP] for one in seen], percent) for percent in (50, 90))
        ratio = p90 / percentile([one[STEP] for one in alone], 90)
        table.rows.append([name, f"{p50 * 1000:.0f}", f"{p90 * 1000:.0f}", f"{ratio:.1f} x"])
    show([table], ["pillow", "pymongo", "redis"], markdown=markdown)


async def _measure(settings: Settings, photographs: int, animations: int) -> list[Seen]:
    small, slow = _small(), _slow() if animations else b""
    async with (
        open_sources(settings) as sources,
        httpx2.AsyncClient(timeout=PATIENCE) as http,
        watched(sources) as watch,
    ):
        client = Client(Api(sources), http, watch)
        people = await users(sources, photographs + 2)
        await client.send(people[0], small)  # everything is awake
        before = [asyncio.create_task(client.send(people[1], slow, "GIF")) for _ in range(animations)]
        await watch.waits_for(animations)
        seen = await asyncio.gather(*(client.send(owner_id, small) for owner_id in people[2:]))
        await asyncio.gather(*before)
        return list(seen)


def _small() -> bytes:
    picture = Image.open(BytesIO(phone_jpeg(1)))
    picture.draft("RGB", (640, 480))
    return _saved([picture.convert("RGB")], "JPEG", quality=80)


def _slow() -> bytes:
    """250 frames of 900 x 880: nearly as much as is taken."""
    frames = []
    for number in range(250):
        frame = Image.new("P", (900, 880), number)
        frame.putpalette([(index * step) % 256 for index in range(256) for step in (3, 5, 7)])
        ImageDraw.Draw(frame).ellipse((number * 2, 100, number * 2 + 300, 700), fill=255 - number)
        frames.append(frame)
    return _saved(frames, "GIF", duration=50, loop=0)


def _saved(frames: list[Image.Image], name: str, **options: object) -> bytes:
    buffer = BytesIO()
    frames[0].save(buffer, name, save_all=len(frames) > 1, append_images=frames[1:], **options)
    return buffer.getvalue()


if __name__ == "__main__":
    typer.run(main)
