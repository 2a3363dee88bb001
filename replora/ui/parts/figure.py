"""Figures on the screen: a keyed Vega-Lite chart whose data go out as Arrow tables, and a title above it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pyarrow as pa
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from replora.figures.enlarged import LEAST_HEIGHT, enlarged
from replora.figures.figure import HEIGHT, Figure, Row, Spec
from replora.ui.shell.embed import embedded, offered
from replora.ui.shell.projector import projecting

LARGE = 2**31
FEW = 20  # rows
ALONG_Y = ("y", "y2")
ROUNDING = 1e-7  # of a float of 32 bits, relative
SHADES = 1024  # places along an axis that a picture can show, some five a pixel
DECIMALS = re.compile(r"\+?\.\d+f")  # formats that say the same here and in a browser

Told = Mapping[str, str]  # by field, the format in which a hover box says its numbers


@dataclass(frozen=True)
class Sheet:
    """A figure ready to be sent, its data as tables; several visitors may be shown the same."""

    key: str
    title: str
    unit: str
    description: str
    spec: Spec


def sheet_of(figure: Figure) -> Sheet:
    """A figure as it is sent."""
    told, grain = _told(figure), _grain(figure)
    tables = {name: arrow_table(rows, told.get(name), grain) for name, rows in figure.data.items()}
    return Sheet(figure.key, figure.title, figure.unit, figure.description, {**figure.spec, "datasets": tables})


def show_figure(figure: Figure | Sheet, page: str, height: int = HEIGHT) -> None:
    """A figure with its title and unit; its place and its spec stay, so the browser only exchanges its data.

    On a projector it is larger, and in a frame of another page it is the only one.
    """
    if not offered(figure.key, figure.title):
        return
    sheet = figure if isinstance(figure, Sheet) else sheet_of(figure)
    spec = dict(sheet.spec)
    if projecting():
        spec = enlarged(spec)
    if projecting() or embedded():
        height = max(height, LEAST_HEIGHT)
    values = "" if embedded() else " The values are under Show numbers."
    with st.container(key=f"{page}.figure.{sheet.key}"):
        st.html(f'<h2 class="figure">{escape(sheet.title)}<span>{escape(sheet.unit)}</span></h2>')
        st.vega_lite_chart(
            spec,
            height=height,
            width="stretch",
            key=f"{page}.chart.{sheet.key}",
            alt=sheet.description + values,
        )


def picture_place(key: str, title: str, page: str) -> DeltaGenerator | None:
    """Where a picture stands that is no chart; None where a frame of another page shows something else."""
    return st.container(key=f"{page}.figure.{key}") if offered(key, title) else None


def arrow_table(rows: Sequence[Row], told: Told | None = None, grain: float = 0.0) -> pa.Table:
    """Rows as columns, None where a row lacks one; ten times faster than the way through pandas.

    In as few bytes as hold them: whole numbers in 32 bits, many texts as a dictionary, and numbers in 32 bits where
    those say the same. told: formats in which numbers are read as digits; None where nobody reads them, and those along
    y are then rounded to a `grain`, if that is not 0.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _narrow(pa.array([row.get(name) for row in rows]), name, told, grain) for name in names})


def _narrow(column: pa.Array, name: str, told: Told | None, grain: float) -> pa.Array:
    if pa.types.is_string(column.type):
        return column.dictionary_encode() if len(column) > FEW else column
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return column
    values = column.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        return column.cast(pa.int32()) if not column.null_count and np.all(abs(values) < LARGE) else column
    if grain and told is None and name in ALONG_Y:
        values = np.round(values / grain) * grain
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if told is not None and DECIMALS.fullmatch(told.get(name, "")):
        digits = told[name]
        same = all(format(each, digits) == format(other, digits) for each, other in zip(narrow, values, strict=True))
    else:
        rounding = ROUNDING if told is None else 0.0
        same = bool(np.isclose(narrow, values, rtol=rounding, atol=0.0, equal_nan=True).all())
    return pa.array(narrow, mask=np.asarray(column.is_null())) if same else column


def _told(figure: Figure) -> dict[str, Told]:
    """By data set, the formats of the numbers that its hover boxes tell; without those that have none."""
    found: dict[str, Told] = {}
    for view in figure.spec.get("layer", [figure.spec]):
        if fields := view["encoding"].get("tooltip"):
            fields = fields if isinstance(fields, list) else [fields]
            found[view["data"].get("name")] = {each.get("field", ""): each.get("format", "") for each in fields}
    return found


def _grain(figure: Figure) -> float:
    """What cannot be seen along y: a power of 2, so that what is rounded to it has few digits; 0 on a log axis."""
    ends = [row["y"] for row in figure.data.get("frame", ())]
    if len(ends) < 2 or "ticks_y" in figure.data or not ends[1] > ends[0]:
        return 0.0
    return float(2.0 ** np.floor(np.log2((ends[1] - ends[0]) / SHADES)))
