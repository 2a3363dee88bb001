"""Changed places in a link: by tensor, then `row~column~value` of each entry; of a row or the whole tensor the factor,
with what has no place left empty: `g_a.0.latent~1~5~0.25~2~~0.5,g_b.0.latent~~~0`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from replora.lens.answers import Tensor2d
from replora.lens.questions import MOST_EDITS, Edit
from replora.ui.components.matrix_editor import LEAST_FACTOR, MOST_FACTOR, Held
from replora.ui.inside.reparameterization.edits import Place, place_of

APART = "~"  # stands in an address as it is
FORM = "a tensor and its places, as tensor~row~column~value, tensor~row~~factor or tensor~~~factor"
Look = Callable[[str], Tensor2d | None]  # the trained values of a tensor, None where they cannot be had


class Misplaced(ValueError):
    """Why a place of a link cannot be changed: what follows 'edits must '."""


def edits_text(edits: Iterable[Edit]) -> str:
    """The places as a link carries them; a hundred of them are some 2,000 characters."""
    told: dict[str, list[str]] = {}
    for edit in edits:
        amount = edit.factor if edit.value is None else edit.value
        places = ["" if place is None else str(place) for place in (edit.row, edit.column)]
        told.setdefault(edit.tensor, [edit.tensor]).extend([*places, f"{amount:.7g}"])
    return ",".join(APART.join(parts) for parts in told.values())


def read_edits(text: str, sizes: Mapping[str, Tensor2d], look: Look) -> tuple[Mapping[Place, Edit], str]:
    """The places that a link changes, as far as this layer has them, and a sentence on the first that it has not.

    sizes: the tensors of the layer by name. look: is asked for those whose entries are set.
    """
    found: dict[Place, Edit] = {}
    said: list[str] = []
    for parts in _split(text):
        try:
            edit = _edit(parts, sizes, look)
            if len({*found, place_of(edit)}) > MOST_EDITS:
                raise Misplaced(f"change at most {MOST_EDITS} places, got more")
        except Misplaced as problem:
            said.append(str(problem))
        else:
            found[place_of(edit)] = edit
    if not said:
        return found, ""
    others = f", and {len(said) - 1} more that cannot be had" if len(said) > 1 else ""
    return found, f"edits must {said[0]}{others}; the rest is as trained or as the link says."


def _split(text: str) -> Iterator[tuple[str, ...]]:
    """(tensor, row, column, amount) of each place; what is none, by itself."""
    for group in filter(None, text.split(",")):
        name, *parts = group.split(APART)
        if not parts or len(parts) % 3:
            yield (group,)
            continue
        yield from ((name, *parts[at : at + 3]) for at in range(0, len(parts), 3))


def _edit(parts: tuple[str, ...], sizes: Mapping[str, Tensor2d], look: Look) -> Edit:
    if len(parts) != 4 or (parts[2] and not parts[1]):
        raise Misplaced(f"list {FORM}, got {APART.join(parts)[:40]!r}")
    name, row_text, column_text, amount_text = parts
    size = sizes.get(name)
    if size is None:
        raise Misplaced(f"name one of {', '.join(sizes)}, got {name[:40]!r}")
    row, column = _place("row", row_text, name, size.rows), _place("column", column_text, name, size.columns)
    if column is None:
        return Edit(tensor=name, row=row, factor=_amount("factor", amount_text, name, LEAST_FACTOR, MOST_FACTOR))
    tensor = look(name)
    if tensor is None:
        raise Misplaced(f"wait until {name} can be read, which it cannot now")
    reach = Held(tensor, "").reach
    return Edit(tensor=name, row=row, column=column, value=_amount("value", amount_text, name, -reach, reach))


def _place(what: str, text: str, tensor: str, end: int) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:9]) >= end or len(text) > 9:
        raise Misplaced(f"give a {what} from 0 to {end - 1} of {tensor}, got {text[:40]!r}")
    return int(text)


def _amount(what: str, text: str, tensor: str, low: float, high: float) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not low * (1 + 1e-6) <= amount <= high * (1 + 1e-6):
        raise Misplaced(f"give a {what} from {low:.3g} to {high:.3g} in {tensor}, got {text[:40]!r}")
    return min(max(amount, low), high)
