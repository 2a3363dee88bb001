"""`python -m scripts.write_models`: docs/models.md, which architectures can be adapted and how, by running them all.

The rows are what `benchmarks.models` finds; a test holds some of them against the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.families import FAMILIES
from benchmarks.models import LIMIT, measured, quietly

DOCS = Path(__file__).parents[1] / "docs" / "models.md"
HEAD = """# Which models can be adapted

`attach` looks for attention whose query and value are linear layers, apart or fused with the key, or parameters of
`nn.MultiheadAttention`. Which rows of a fused layer are whose it knows for the classes in
[layouts.py](../replora/adapters/layouts.py); any other class is asked by one forward pass, on `inputs` if you give
one example, and refused where the pass cannot tell. Nothing is adapted by guess.

`python -m scripts.write_models` made this table: tiny models with random weights, adapted by RepLoRA, trained for
three steps, merged, saved, loaded by PEFT and loaded back, all outputs equal up to {limit:.0e} of the largest. That
only the rows of the query move when only its factors do, and so for the value, is seen in the attention's own products;
{unseen}

- **PEFT**: *as it runs*, PEFT's model of our folder gives the same outputs at once; *merged*, after `merge_and_unload`
  only, since this model reads its weights past the layers and PEFT's layers are then not asked; *none*, PEFT has no
  layer for this attention, and `save_peft` says so.
- **Runs**: *several*, `attach(..., runs=N)` trains N side by side; *one*, it is refused by a sentence (Nyströmformer's
  output for an example depends on the others of its batch, so its runs are not alone).

{counts}

| architecture | library | adapted | PEFT | runs |
| --- | --- | --- | --- | --- |
"""
TAIL = """
## What an adapted model keeps

- Hooks of a layer see the adapted layer, and are there again when it is merged or detached.
- A layer of one's own class keeps its forward; where that is no plain product, the update goes into the weight that it
  reads, and `save_peft` refuses, since PEFT would add it behind.
- `weight` and `bias` of an adapted layer are those of the merged one, for a model that reads them.
- `torch.func.functional_call`, `torch.compile` before and after `attach`, and models spread by accelerate's
  `device_map` work; weights that are offloaded are refused. `DataParallel` takes one run, and refuses several.
- The adapters hang on the innermost module above all attention, so `model.bert.parameters()` has them; `merge` and
  `detach` find them inside of your own module.
- All else is frozen, a new head too: `attach(model, method, keep=["classifier"])` leaves it trained, and `save_peft`
  takes it along.
- Layers of several widths have factors for each width; with `layer_sharing="one"` those of a width share their MLP.
"""


def row(name: str, library: str, found: Mapping[str, Any]) -> str:
    """The table's line of one architecture."""
    if found["outcome"] == "refused":
        return f"| {name} | {library} | refused: {found['sentence'].partition(': looked for')[0]} | | |"
    peft = found["peft"]
    checked = "none" if isinstance(peft, str) else "as it runs" if peft <= LIMIT else "merged"
    several = "several" if isinstance(found["runs"], float) else "one"
    return f"| {name} | {library} | {found['adapted']} | {checked} | {several} |"


def page() -> str:
    """The whole file; raises `AssertionError` where an architecture comes out wrong."""
    found = {family: quietly(measured, family) for family in FAMILIES}
    wrong = {family.name: each for family, each in found.items() if each["outcome"] not in ("right", "refused")}
    assert not wrong, wrong
    counts = Counter(each["outcome"] for each in found.values())
    said = f"Of {len(found)} architectures {counts['right']} are adapted and {counts['refused']} refused."
    blind = [family.name for family, each in found.items() if None in each.get("roles", {}).values()]
    unseen = f"not in {'; '.join(blind)}, whose products cannot be watched from outside."
    rows = [row(family.name, family.library, each) for family, each in found.items()]
    return HEAD.format(limit=LIMIT, counts=said, unseen=fill(unseen, 120)) + "\n".join(rows) + "\n" + TAIL


if __name__ == "__main__":
    DOCS.write_text(page(), encoding="utf-8")
