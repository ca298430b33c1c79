"""Faces of traffic signs and of buildings, drawn from scratch so that no picture needs to be shipped."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE_PX = 128
"""The software renderer shows only textures whose sides are powers of two."""
_RED = (200, 20, 30)
_WHITE = (245, 245, 240)
_YELLOW = (245, 190, 20)
_BLUE = (25, 70, 170)
_BLACK = (15, 15, 15)

Outline = list[tuple[float, float]]

TRIANGLE: Outline = [(0.02, 0.08), (0.98, 0.08), (0.5, 0.93)]
SQUARE: Outline = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
DISC: Outline = [(0.5 + 0.5 * math.cos(a), 0.5 + 0.5 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 17)[:-1]]
DIAMOND: Outline = [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)]

WORKS_SIGNS = ("works_white", "works_yellow", "works_diamond")
OTHER_SIGNS = (
    "narrows",
    "bend",
    "pedestrians",
    "danger_yellow",
    "limit_30",
    "limit_50",
    "limit_80",
    "no_overtaking",
    "parking",
    "ahead_only",
    "priority",
    "exit_board",
)
SIGN_NAMES = WORKS_SIGNS + OTHER_SIGNS
"""A sign's ``variant`` is its place in this tuple."""


def sign_face(name: str) -> tuple[Image.Image, Outline]:
    """The square picture of a sign and the part of it, in the unit square with v upwards, that the plate covers."""
    picture = Image.new("RGB", (_SIDE_PX, _SIDE_PX), (110, 110, 110))
    draw = ImageDraw.Draw(picture)
    if name in ("works_white", "works_yellow", "narrows", "bend", "pedestrians", "danger_yellow"):
        _polygon(draw, TRIANGLE, _RED)
        inner = [(0.5 + (x - 0.5) * 0.68, 0.37 + (y - 0.37) * 0.68) for x, y in TRIANGLE]
        _polygon(draw, inner, _YELLOW if name.endswith("yellow") else _WHITE)
        _GLYPHS[name](draw)
        return picture, TRIANGLE
    if name == "works_diamond":
        _polygon(draw, DIAMOND, _BLACK)
        _polygon(draw, [(0.5 + (x - 0.5) * 0.93, 0.5 + (y - 0.5) * 0.93) for x, y in DIAMOND], (245, 120, 20))
        _digger(draw)
        return picture, DIAMOND
    if name == "priority":
        _polygon(draw, DIAMOND, _WHITE)
        _polygon(draw, [(0.5 + (x - 0.5) * 0.7, 0.5 + (y - 0.5) * 0.7) for x, y in DIAMOND], _YELLOW)
        return picture, DIAMOND
    if name == "exit_board":
        draw.rectangle((0, 0, _SIDE_PX, _SIDE_PX), fill=_BLUE)
        for top in (0.2, 0.45, 0.7):
            draw.rectangle(_pixels(0.12, top, 0.5 + top / 2, top + 0.12), fill=_WHITE)
        return picture, SQUARE
    if name == "parking":
        draw.rectangle((0, 0, _SIDE_PX, _SIDE_PX), fill=_BLUE)
        _text(draw, "P", 0.8, _WHITE)
        return picture, SQUARE
    if name == "ahead_only":
        draw.rectangle((0, 0, _SIDE_PX, _SIDE_PX), fill=_BLUE)
        _polygon(draw, [(0.5, 0.88), (0.75, 0.55), (0.25, 0.55)], _WHITE)
        draw.rectangle(_pixels(0.43, 0.4, 0.57, 0.88), fill=_WHITE)
        return picture, DISC
    draw.rectangle((0, 0, _SIDE_PX, _SIDE_PX), fill=_RED)
    draw.ellipse(_pixels(0.15, 0.15, 0.85, 0.85), fill=_WHITE)
    if name == "no_overtaking":
        draw.rectangle(_pixels(0.25, 0.42, 0.46, 0.62), fill=_BLACK)
        draw.rectangle(_pixels(0.54, 0.42, 0.75, 0.62), fill=_RED)
    else:
        _text(draw, name.removeprefix("limit_"), 0.5, _BLACK)
    return picture, DISC


def facade(variant: int) -> Image.Image:
    """One bay of a building front, 3.2 m a side: plaster, brick, glass or sheet metal; bright, for tints darken it."""
    rng = np.random.default_rng(variant)
    wall, pane = [((225, 220, 210), (70, 85, 100)), ((190, 130, 105), (60, 60, 70)), ((150, 165, 175), (90, 120, 150)),
                  ((205, 205, 205), (190, 190, 190))][variant % 4]  # fmt: skip
    grain = rng.normal(0, 6, (64, 64, 1))
    picture = Image.fromarray(np.clip(np.array(wall) + grain, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    if variant % 4 == 1:
        for row in range(0, 64, 5):
            draw.line((0, row, 64, row), fill=(165, 112, 92))
    if variant % 4 == 2:
        draw.rectangle((3, 6, 60, 52), fill=pane)
        draw.line((32, 6, 32, 52), fill=wall, width=2)
    elif variant % 4 == 3:
        for column in range(0, 64, 8):
            draw.line((column, 0, column, 64), fill=(180, 180, 182))
    else:
        draw.rectangle((20, 14, 44, 48), fill=pane, outline=(240, 240, 240), width=2)
        draw.line((32, 14, 32, 48), fill=(240, 240, 240), width=2)
    return picture


def stripes(first: tuple[int, int, int], second: tuple[int, int, int], *, slanted: bool) -> Image.Image:
    """Red-white boards and posts that stand on roads for good: what works are easily mistaken for."""
    rows, columns = np.mgrid[0:64, 0:64]
    phase = (columns + rows if slanted else rows) // 16 % 2
    return Image.fromarray(np.where(phase[..., None] == 0, np.array(first), np.array(second)).astype(np.uint8))


def chevrons() -> Image.Image:
    """The board that marks a sharp bend."""
    rows, columns = np.mgrid[0:64, 0:64]
    phase = (columns + np.abs(rows - 32)) // 16 % 2
    return Image.fromarray(np.where(phase[..., None] == 0, np.array(_RED), np.array(_WHITE)).astype(np.uint8))


def _pixels(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return left * _SIDE_PX, top * _SIDE_PX, right * _SIDE_PX, bottom * _SIDE_PX


def _polygon(draw: ImageDraw.ImageDraw, outline: Outline, colour: tuple[int, int, int]) -> None:
    draw.polygon([(x * _SIDE_PX, (1 - y) * _SIDE_PX) for x, y in outline], fill=colour)


def _text(draw: ImageDraw.ImageDraw, text: str, size: float, colour: tuple[int, int, int]) -> None:
    centre = (_SIDE_PX / 2, _SIDE_PX / 2)
    draw.text(centre, text, fill=colour, font=ImageFont.load_default(size * _SIDE_PX), anchor="mm")


def _digger(draw: ImageDraw.ImageDraw) -> None:
    """A person with a shovel beside a heap."""
    draw.ellipse(_pixels(0.46, 0.36, 0.55, 0.45), fill=_BLACK)
    _polygon(draw, [(0.42, 0.55), (0.53, 0.52), (0.46, 0.36), (0.5, 0.22), (0.44, 0.22), (0.38, 0.38)], _BLACK)
    _polygon(draw, [(0.5, 0.5), (0.64, 0.3), (0.62, 0.28), (0.47, 0.47)], _BLACK)
    _polygon(draw, [(0.56, 0.22), (0.66, 0.34), (0.76, 0.22)], _BLACK)


def _narrows(draw: ImageDraw.ImageDraw) -> None:
    _polygon(draw, [(0.36, 0.2), (0.42, 0.2), (0.46, 0.6), (0.42, 0.6)], _BLACK)
    _polygon(draw, [(0.58, 0.2), (0.64, 0.2), (0.58, 0.6), (0.54, 0.6)], _BLACK)


def _bend(draw: ImageDraw.ImageDraw) -> None:
    _polygon(draw, [(0.4, 0.2), (0.47, 0.2), (0.47, 0.4), (0.6, 0.52), (0.55, 0.57), (0.4, 0.44)], _BLACK)


def _pedestrians(draw: ImageDraw.ImageDraw) -> None:
    for left in (0.38, 0.53):
        draw.ellipse(_pixels(left, 0.42, left + 0.09, 0.51), fill=_BLACK)
        draw.rectangle(_pixels(left + 0.01, 0.52, left + 0.08, 0.78), fill=_BLACK)


def _danger(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle(_pixels(0.46, 0.36, 0.54, 0.65), fill=_BLACK)
    draw.rectangle(_pixels(0.46, 0.7, 0.54, 0.78), fill=_BLACK)


_GLYPHS = {
    "works_white": _digger,
    "works_yellow": _digger,
    "narrows": _narrows,
    "bend": _bend,
    "pedestrians": _pedestrians,
    "danger_yellow": _danger,
}
