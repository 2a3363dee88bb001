"""A figure as SVG text or PNG bytes, by vl-convert: no browser and no network.

The converter is heavy and is imported with the first figure asked for.
"""

from __future__ import annotations

from typing import Any

from replora.figures.figure import Figure, Spec

WIDTH, HEIGHT = 720, 360
PNG_SCALE = 2.0
VEGA_LITE = "6.4"
FONT = "sans-serif"  # the converter brings one of its own

COLORS: dict[str, str] = {  # the light theme's shades of the names that figures use
    "blue": "#0067B1",
    "orange": "#B8500A",
    "green": "#00785A",
    "gray": "#5B6672",
    "primary": "#2B3642",
}
INK, QUIET, GRID, GROUND = "#1F2933", "#5B6672", "#E3E7EA", "#FFFFFF"


def svg_text(figure: Figure) -> str:
    """The figure as a standalone SVG document, title and unit above it, on white."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg(standalone(figure), vl_version=VEGA_LITE)
    return text


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG, twice as fine as on a common screen."""
    import vl_convert

    content: bytes = vl_convert.vegalite_to_png(standalone(figure), vl_version=VEGA_LITE, scale=PNG_SCALE)
    return content


def png_of_svg(text: str) -> bytes:
    """An SVG document as a PNG, twice as fine as on a common screen."""
    import vl_convert

    content: bytes = vl_convert.svg_to_png(text, scale=PNG_SCALE)
    return content


def standalone(figure: Figure) -> Spec:
    """Spec and data with everything that a page adds: size, title, shades, fonts and ground."""
    spec: Spec = _shaded(figure.vega_lite())
    config = spec.pop("config", {})
    axis = {
        **config.get("axis", {}),
        "labelColor": QUIET,
        "titleColor": QUIET,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
    }
    return {
        **spec,
        "width": WIDTH,
        "height": HEIGHT,
        "background": GROUND,
        "padding": 16,
        "title": {"text": figure.title, "subtitle": figure.unit, "anchor": "start", "frame": "group", "offset": 14},
        "config": {
            **config,
            "font": FONT,
            "axis": axis,
            "view": {"stroke": None},
            "title": {"fontSize": 18, "color": INK, "subtitleFontSize": 14, "subtitleColor": QUIET},
        },
    }


def _shaded(value: Any) -> Any:
    """The same value with colour names in place of which stand shades; texts of the data stay as they are."""
    if isinstance(value, dict):
        return {name: each if name == "datasets" else _shaded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shaded(each) for each in value]
    return COLORS.get(value, value) if isinstance(value, str) else value
