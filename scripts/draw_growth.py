"""`python -m scripts.draw_growth`: docs/growth.svg, the picture of what `benchmarks.growth` recorded.

A row a machine, a column a thing that grows; both axes logarithmic, so that what grows as its cause rises like the
dotted line. benchmarks/growth.json holds what was printed with --json, and the command that printed it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import vl_convert

from replora.figures.export import COLORS, FONT, GRID, GROUND, INK, QUIET, VEGA_LITE

ROOT = Path(__file__).resolve().parents[1]
RECORD, PICTURE = ROOT / "benchmarks" / "growth.json", ROOT / "docs" / "growth.svg"
TITLES = {
    "tokens": "tokens of a text",
    "runs": "runs",
    "rank": "rank",
    "mlp_width": "MLP width",
    "adapted_blocks": "adapted blocks",
}
SIDES = {"lora": ("LoRA", "blue"), "replora": ("RepLoRA", "orange"), "peft": ("PEFT's LoRA", "gray")}
AS_ITS_CAUSE = "grows as its cause"
SPOKEN = re.compile(r' (?:aria-[\w-]+|role|class|pointer-events)="[^"]*"')  # the page says what the picture shows
DEFAULTS = re.compile(r"""<path d="(M0,0h0v0h0Z)?"( display="none")?/>| opacity="1"| stroke-width="1"(?=[ />])""")
PLACES, DIGITS = re.compile(r' (?:d|transform|[xy]2?)="[^"]*"'), re.compile(r"\d+\.\d{2,}")
WIDTH, HEIGHT = 150, 170
DECADES = [10.0**power for power in range(-1, 5)]


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a value and side of one machine."""
    return [
        {"axis": axis, "value": int(value), "side": SIDES[side][0], "milliseconds": milliseconds}
        for axis, values in record["milliseconds"].items()
        for value, sides in values.items()
        for side, milliseconds in sides.items()
    ]


def guides(found: list[dict[str, Any]], axis: str) -> list[dict[str, Any]]:
    """The two ends of a line that rises as its cause from where LoRA begins."""
    first, *_, last = sorted(
        (each for each in found if each["axis"] == axis and each["side"] == "LoRA"), key=lambda each: each["value"]
    )
    grown = first["milliseconds"] * last["value"] / first["value"]
    return [first | {"side": AS_ITS_CAUSE}, last | {"side": AS_ITS_CAUSE, "milliseconds": grown}]


def panel(found: list[dict[str, Any]], axis: str, top: float, bottom: float) -> dict[str, Any]:
    """One thing that grows, on one machine."""
    here = [each for each in found if each["axis"] == axis]
    color: dict[str, Any] = {
        "field": "side",
        "type": "nominal",
        "scale": {
            "domain": [*(name for name, _ in SIDES.values()), AS_ITS_CAUSE],
            "range": [*(COLORS[shade] for _, shade in SIDES.values()), QUIET],
        },
        "legend": {"title": None, "orient": "bottom", "symbolType": "stroke", "symbolStrokeWidth": 3},
    }
    dash = {
        "field": "side",
        "type": "nominal",
        "scale": {"domain": color["scale"]["domain"], "range": [[1, 0]] * len(SIDES) + [[2, 4]]},
        "legend": color["legend"],
    }
    x = {
        "field": "value",
        "type": "quantitative",
        "title": TITLES[axis],
        "scale": {"type": "log", "nice": False},
        "axis": {"values": sorted({each["value"] for each in here}), "format": "d"},
    }
    y = {
        "field": "milliseconds",
        "type": "quantitative",
        "title": "ms a step" if axis == next(iter(TITLES)) else None,
        "scale": {"type": "log", "domain": [bottom, top], "nice": False, "clamp": True},
        "axis": {"values": [each for each in DECADES if bottom <= each <= top], "format": "~g"},
    }
    encoding = {"x": x, "y": y, "color": color, "strokeDash": dash}
    line = {"data": {"values": here}, "mark": {"type": "line", "strokeWidth": 2.5}, "encoding": encoding}
    dots = {
        "data": {"values": here},
        "mark": {"type": "point", "filled": True, "size": 28, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": {**color, "legend": None}},
    }
    guide = {
        "data": {"values": guides(found, axis)},
        "mark": {"type": "line", "strokeWidth": 1.5, "clip": True},
        "encoding": encoding,
    }
    return {"width": WIDTH, "height": HEIGHT, "layer": [guide, line, dots]}


def picture(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of it in Vega-Lite: the panels of one machine share their scale of time."""
    machines = []
    for record in records:
        found, machine = rows(record), record["machine"]
        times = [each["milliseconds"] for each in found]
        threads = "" if "CPU" not in machine["device"] else f", {machine['threads']} threads"
        title = f"{machine['device']}{threads}, {machine['precision']}, torch {machine['versions']['torch']}"
        machines.append(
            {
                "title": {"text": title, "anchor": "start", "color": INK, "fontSize": 14},
                "hconcat": [panel(found, axis, 1.4 * max(times), min(times) / 1.4) for axis in TITLES],
            }
        )
    axis = {
        "labelColor": QUIET,
        "titleColor": QUIET,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "titleFontSize": 12,
    }
    return {
        "vconcat": machines,
        "background": GROUND,
        "padding": 12,
        "config": {"font": FONT, "view": {"stroke": None}, "axis": axis, "legend": {"labelFontSize": 13}},
    }


def drawn() -> str:
    """The picture as a standalone SVG document, without what is only there for browsers that it is not drawn in."""
    records = json.loads(RECORD.read_text(encoding="utf-8"))
    text: str = vl_convert.vegalite_to_svg(picture(records), vl_version=VEGA_LITE)
    numbers: dict[str, int] = {}  # of what is clipped: the converter counts through all that its process draws
    text = re.sub(r"\bclip\d+", lambda name: f"clip{numbers.setdefault(name[0], len(numbers))}", SPOKEN.sub("", text))
    return PLACES.sub(lambda place: DIGITS.sub(tenths, place[0]), DEFAULTS.sub("", text))


def tenths(number: re.Match[str]) -> str:
    """A number in a place, to a tenth of a pixel."""
    return f"{float(number[0]):.1f}".removesuffix(".0")


@click.command()
def main() -> None:
    """Draw the picture anew."""
    PICTURE.write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    main()
