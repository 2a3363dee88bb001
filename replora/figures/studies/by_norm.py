"""A data study over the norm that its updates ended with: one road at unlike speeds, or two roads?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.studies.estimates import ACCURACY_AXIS, finish, result_ends
from replora.figures.style import title_of
from replora.methods import HEAD, has_adapter
from replora.statistics.metrics import ACCURACY, Metric
from replora.studies.races.by_norm import AtNorm
from replora.wording import fixed

NORM_AXIS = Axis("norm of delta_weight", log=True, grid=False)
ROLES = ("y", "main", "dot", "label", "room", "stamp", "message")
NOTHING_YET = (0.1, 10.0)


@dataclass(frozen=True)
class PlottedNorms:
    """cells: means by norm, of all rates with the most data where there are several, else of all shares of the data.

    amount: '100 % of the data' where it is one.
    """

    cells: Sequence[AtNorm]
    amount: str = ""
    recorded: bool = False
    message: str = ""
    metric: Metric = ACCURACY


def norm_figure(picture: PlottedNorms) -> Figure:
    """What runs are judged by against the norm, a line a method, from rate to rate or from share to share."""
    cells = [cell for cell in picture.cells if has_adapter(cell.method)]
    norms = [cell.norm for cell in cells]
    ends = (10 ** math.floor(math.log10(min(norms))), 10 ** math.ceil(math.log10(max(norms)))) if norms else NOTHING_YET
    x = ends if ends[0] < ends[1] else NOTHING_YET
    metric = picture.metric
    y = result_ends([metric.scale * cell.result for cell in cells], metric)
    plot = Plot(x, y, ROLES, NORM_AXIS, ACCURACY_AXIS)
    labels = []
    for method in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in cells if cell.method == method]
        points = [(cell.norm, metric.scale * cell.result) for cell in own]
        plot.line("main", method, points, method)
        for cell, (norm, result) in zip(own, points, strict=True):
            where = f"rate {cell.rate:g}" if picture.amount else f"{100 * cell.fraction:g} % of the data"
            said = f"{title_of(method)}, {where}: {fixed(result, metric.decimals)}, norm {norm:.3g}"
            plot.point("dot", method, norm, result, said)
        labels.append((method, title_of(method), points[-1]))
    plot.name_ends(labels)
    plot.keep_room(title_of(HEAD))
    finish(plot, empty=not cells, recorded=picture.recorded, message=picture.message)
    what = f"{picture.amount}, a point a rate" if picture.amount else "a point a share of the data"
    return plot.figure(
        "by_norm",
        f"Test {metric.noun} over the norm",
        f"{metric.unit}{' with' if picture.amount else ','} {what}; means over seeds",
        f"Line chart of mean test {metric.measured} against the Frobenius norm that all delta_weight had after the "
        "last step, on a logarithmic axis, one line for each method; where lines meet, one method is only further "
        "along the other's road.",
    )
