"""Screenshots of the tutorial: the panel on the left, the views on the right."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

PANEL_PIXELS = 420
BAR_PIXELS = 22
GAP_PIXELS = 6
MAX_BYTES = 300_000
_GREY, _BAR, _TEXT = "#808080", "#303030", "#f0f0f0"


class Screenshots:
    """Renders and composes screenshots with the test host.

    Args:
        host: the test host.
        widget: the module's widget.
        folder: output folder.
        scratch: folder for temporary files.
    """

    def __init__(self, host, widget, folder, scratch) -> None:
        self._host, self._widget = host, widget
        self._folder, self._scratch = Path(folder), Path(scratch)
        self._folder.mkdir(parents=True, exist_ok=True)

    def view(self, name, title: str, width: int, height: int) -> Image.Image:
        """A view of the present layout, below a bar with its title if it gets one."""
        path = self._scratch / "view.png"
        self._host.view_screenshot(name, path, width, height)
        drawn = Image.open(path).convert("RGB")
        if not title:
            return drawn
        image = Image.new("RGB", (width, height + BAR_PIXELS), _BAR)
        image.paste(drawn, (0, BAR_PIXELS))
        ImageDraw.Draw(image).text(
            (8, BAR_PIXELS / 2), title, fill=_TEXT, font=ImageFont.load_default(14), anchor="lm"
        )
        return image

    def panel(self) -> Image.Image:
        """The panel, as it is now, without what is empty below it."""
        path = self._scratch / "panel.png"
        self._host.screenshot(self._widget, path, PANEL_PIXELS)
        image = Image.open(path).convert("RGB")
        empty = Image.new("RGB", image.size, image.getpixel((2, image.height - 2)))
        bottom = ImageChops.difference(image, empty).getbbox()[3]
        return image.crop((0, 0, image.width, min(image.height, bottom + GAP_PIXELS)))

    def save(self, name: str, rows: list[list[Image.Image]]) -> Path:
        """Write the panel with rows of views beside it; under `MAX_BYTES`."""
        panel = self.panel()
        views = _stack([_stack(row, across=True) for row in rows], across=False)
        image = Image.new(
            "RGB",
            (panel.width + GAP_PIXELS + views.width, max(panel.height, views.height)),
            _GREY,
        )
        image.paste(panel.getpixel((2, panel.height - 2)), (0, 0, panel.width, image.height))
        image.paste(panel, (0, 0))
        image.paste("black", (panel.width + GAP_PIXELS, 0, image.width, image.height))
        image.paste(views, (panel.width + GAP_PIXELS, 0))
        path = self._folder / name
        image.save(path, optimize=True)
        if path.stat().st_size > MAX_BYTES:
            few = image.quantize(256, dither=Image.Dither.NONE)
            few.save(path, optimize=True)
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AssertionError(f"{path} has {size} bytes, more than {MAX_BYTES}")
        return path


def _stack(images: list[Image.Image], across: bool) -> Image.Image:
    gaps = GAP_PIXELS * (len(images) - 1)
    widths, heights = [p.width for p in images], [p.height for p in images]
    size = (sum(widths) + gaps, max(heights)) if across else (max(widths), sum(heights) + gaps)
    made, at = Image.new("RGB", size, _GREY), 0
    for image in images:
        made.paste(image, (at, 0) if across else (0, at))
        at += (image.width if across else image.height) + GAP_PIXELS
    return made
