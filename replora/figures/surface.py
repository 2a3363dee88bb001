"""A surface that one turns and zooms, as a plotly figure: one look, one colour scale and one camera for all of them.

What is drawn is data of `Surface`; plotly is imported with the first surface that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from replora.figures.figure import Row

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Grid = tuple[tuple[float, ...], ...]

# From deep to high; both ends stand out from a light and from a dark page.
SCALE = ("#3b4a78", "#2f6f8e", "#27928a", "#55b36d", "#b5cf4b", "#fbe34a")
GRID, CONTOUR = "#98a3ae", "rgba(255, 255, 255, .75)"
TICK, TITLE, NAME = 14, 16, 19  # pixels, to be read from the back row
LIFT, NAMES = 0.01, 0.85  # of the height: how far lines lie above the surface, and where names stand
CUT = "#ff4f79"  # of a line that is nobody's, on any of these colours and off them
CONTOURS = 8
FLOOR = 0.03  # of the height, below the lowest value, so that a level surface does not lie in the frame
CAMERA = {"eye": {"x": 1.28, "y": -1.48, "z": 0.88}, "center": {"x": -0.05, "y": -0.04, "z": -0.13}}


@dataclass(frozen=True)
class Track:
    """A line on a surface: points (x, y, z), a colour, what a hover box says of each point, and a mark at each (a
    symbol of plotly, '' for none).
    """

    name: str
    points: tuple[tuple[float, float, float], ...]
    color: str
    tips: tuple[str, ...] = ()
    symbol: str = ""


@dataclass(frozen=True)
class Mark:
    """A named place on a surface: a pole that carries the name."""

    name: str
    point: tuple[float, float, float]
    color: str
    tip: str = ""


@dataclass(frozen=True)
class Surface:
    """z over x and y, all (rows, columns); None where nothing is known yet. `axes`: titles of x, y and z.

    top: where axis and colours end, the same for surfaces that are compared; what lies above is cut off. bottom: where
    they begin. ticks: of x and y, where plotly is not to choose them.
    """

    key: str
    title: str
    unit: str
    description: str
    x: Grid
    y: Grid
    z: tuple[tuple[float | None, ...], ...]
    axes: tuple[str, str, str]
    bottom: float
    top: float
    tracks: tuple[Track, ...] = ()
    marks: tuple[Mark, ...] = ()
    ticks: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def plotly_figure(surface: Surface, times: float = 1.0) -> Figure:
    """The surface as plotly draws it, its texts so many times larger; where one has turned it stays while its data
    change.
    """
    from plotly import graph_objects as go

    step = (surface.top - surface.bottom) / CONTOURS
    levels = {"show": True, "start": surface.bottom + step, "end": surface.top, "size": step, "color": CONTOUR}
    floor = surface.bottom - FLOOR * (surface.top - surface.bottom)
    x_title, y_title, z_title = surface.axes
    figure = go.Figure(
        go.Surface(
            x=np.array(surface.x, dtype=float),
            y=np.array(surface.y, dtype=float),
            z=np.array(surface.z, dtype=float),
            cmin=surface.bottom,
            cmax=surface.top,
            colorscale=[[place / (len(SCALE) - 1), color] for place, color in enumerate(SCALE)],
            showscale=False,
            contours={"z": {**levels, "highlight": False}, "x": {"highlight": False}, "y": {"highlight": False}},
            lighting={"ambient": 0.75, "diffuse": 0.45, "specular": 0.05, "roughness": 0.9},
            hovertemplate=f"{x_title} %{{x:.2f}}<br>{y_title} %{{y:.2f}}<br>{z_title} %{{z:.3g}}<extra></extra>",
        )
    )
    figure.add_trace(_corners(surface, floor))
    height = surface.top - floor
    for track in surface.tracks:
        figure.add_traces(_line(track, height))
    for mark in surface.marks:
        figure.add_trace(_pole(mark, floor + NAMES * height, times))
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        uirevision=surface.key,
        showlegend=False,
        scene={
            "xaxis": _axis(x_title, surface.ticks[0] if surface.ticks else None, times),
            "yaxis": _axis(y_title, surface.ticks[1] if surface.ticks else None, times),
            "zaxis": {**_axis(z_title, None, times), "range": [floor, surface.top]},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.72},
            "camera": CAMERA,
        },
    )
    return figure


def surface_rows(surface: Surface) -> list[Row]:
    """The numbers behind it: a row a point of the grid that is known, then the points of the tracks."""
    x_title, y_title, z_title = surface.axes
    rows: list[Row] = [
        {"drawn as": "surface", "of": surface.title, x_title: x, y_title: y, z_title: z}
        for xs, ys, zs in zip(surface.x, surface.y, surface.z, strict=True)
        for x, y, z in zip(xs, ys, zs, strict=True)
        if z is not None
    ]
    for track in surface.tracks:
        rows += [
            {"drawn as": "track", "of": track.name, x_title: x, y_title: y, z_title: z} for x, y, z in track.points
        ]
    return rows


def _axis(title: str, ticks: Sequence[float] | None, times: float) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "title": {"text": title, "font": {"size": TITLE * times}},
        "tickfont": {"size": TICK * times},
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "showbackground": False,
        "showspikes": False,
        "nticks": 5,
    }
    return axis if ticks is None else {**axis, "tickmode": "array", "tickvals": list(ticks)}


def _corners(surface: Surface, floor: float) -> Any:
    """Two unseen points at the ends of the axes: without them plotly draws no frame around a level surface."""
    from plotly import graph_objects as go

    ends = [[min(map(min, grid)), max(map(max, grid))] for grid in (surface.x, surface.y)]
    return go.Scatter3d(
        x=ends[0], y=ends[1], z=[floor, surface.top], mode="markers", marker={"size": 1, "opacity": 0}, hoverinfo="skip"
    )


def _line(track: Track, height: float) -> list[Any]:
    """The line, a little above the surface, which would swallow it, on a white one that sets it off."""
    from plotly import graph_objects as go

    x, y, z = (np.array(values, dtype=float) for values in zip(*track.points, strict=True))
    white = go.Scatter3d(
        x=x, y=y, z=z + LIFT * height, mode="lines", line={"color": "white", "width": 13}, hoverinfo="skip"
    )
    line = go.Scatter3d(
        x=x,
        y=y,
        z=z + 2 * LIFT * height,
        name=track.name,
        mode="lines+markers" if track.symbol else "lines",
        line={"color": track.color, "width": 8},
        marker={"color": track.color, "size": 6, "symbol": track.symbol or "circle"},
        text=list(track.tips) or None,
        hovertemplate="%{text}<extra></extra>" if track.tips else None,
        hoverinfo=None if track.tips else "skip",
    )
    return [white, line]


def _pole(mark: Mark, top: float, times: float) -> Any:
    from plotly import graph_objects as go

    x, y, z = mark.point
    return go.Scatter3d(
        x=[x, x],
        y=[y, y],
        z=[z, max(z, top)],
        mode="lines+markers+text",
        line={"color": mark.color, "width": 5},
        marker={"color": mark.color, "size": [9, 0.1], "line": {"color": "white", "width": 1}},
        text=["", f"<b>{mark.name}</b>"],
        textposition="top center",
        textfont={"size": NAME * times, "color": mark.color},
        hovertext=mark.tip or mark.name,
        hovertemplate="%{hovertext}<extra></extra>",
    )
