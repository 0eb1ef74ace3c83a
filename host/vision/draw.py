"""Findings drawn onto the photo: a box with its label, or a panel of classes below."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from host.vision.heads import Classification, Detection, Drawing, Findings

BRIGHT = (255, 214, 10)
DARK = (16, 16, 16)
LEAST_SIDE = 240  # pixels; smaller photos are enlarged so that text on them can be read

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(photo: Image.Image, findings: Findings) -> Image.Image:
    """A new RGB picture; the photo itself if there is nothing to draw, the network's picture if it made one."""
    made = next((finding for finding in findings if isinstance(finding, Drawing)), None)
    if made is not None:
        return Image.fromarray(made.pixels)
    factor = -(-LEAST_SIDE // min(photo.size)) if min(photo.size) < LEAST_SIDE else 1
    canvas = photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.NEAREST)
    for finding in findings:
        if isinstance(finding, Detection):
            _box(canvas, finding, factor)
    classes = [finding for finding in findings if isinstance(finding, Classification)]
    return _with_panel(canvas, classes) if classes else canvas


def _font(canvas: Image.Image) -> Font:
    return ImageFont.load_default(max(12, min(canvas.size) // 22))


def _box(canvas: Image.Image, found: Detection, factor: int) -> None:
    """A bright line between two dark ones, around the box and inside the photo; the label above it if there is room."""
    pen, font = ImageDraw.Draw(canvas), _font(canvas)
    line = max(2, round(min(canvas.size) / 160))
    rim = max(1, line // 2)
    left, top, right, bottom = (round(edge * factor) for edge in found.box)
    x_low, y_low = max(0, left - line - rim), max(0, top - line - rim)
    x_high, y_high = min(canvas.width - 1, right + line + rim), min(canvas.height - 1, bottom + line + rim)
    for inset, colour, width in ((0, DARK, rim), (rim, BRIGHT, line), (rim + line, DARK, rim)):
        corners = (x_low + inset, y_low + inset, x_high - inset, y_high - inset)
        if corners[0] <= corners[2] and corners[1] <= corners[3]:
            pen.rectangle(corners, None, colour, width)

    text = f"{found.label} {100 * found.score:.0f} %"
    x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=font)
    margin = max(2, line)
    width, height = round(x1 - x0) + 2 * margin, round(y1 - y0) + 2 * margin
    x = max(0, min(x_low, canvas.width - width))
    y = y_low - height if y_low >= height else min(y_low + line + 2 * rim, canvas.height - height)
    pen.rectangle((x, y, x + width - 1, y + height - 1), BRIGHT)
    pen.text((x + margin - x0, y + margin - y0), text, fill=DARK, font=font)


def _with_panel(canvas: Image.Image, classes: Sequence[Classification]) -> Image.Image:
    """Classes below the photo, best first, each with a bar as long as its score."""
    font = _font(canvas)
    ascent = font.getbbox("Ag")[3]
    row = round(1.5 * ascent)
    panel = Image.new("RGB", (canvas.width, canvas.height + row * len(classes) + row // 2), DARK)
    panel.paste(canvas, (0, 0))
    pen = ImageDraw.Draw(panel)
    for index, found in enumerate(classes):
        y = canvas.height + row // 4 + index * row
        pen.rectangle((0, y + row - 4, round(found.score * (canvas.width - 1)), y + row - 2), BRIGHT)
        text = f"{found.label} {100 * found.score:.1f} %"
        pen.text((row // 4, y), text, fill=BRIGHT if index == 0 else (220, 220, 220), font=font)
    return panel
