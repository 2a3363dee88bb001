"""One example as a model takes it, of the test split or one's own, and what its tokens are called."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replora.backbones import Backbone, CausalLM, Rows, TransformersText
from replora.lens.questions import Example, LensError
from replora.tasks import Task

WORD = "\u0120"  # what tokenizers of bytes write for the space that begins a word


@dataclass(frozen=True)
class ModelInput:
    """An example as the model takes it: inputs of one row, what its tokens are, its class (-1: one's own)."""

    inputs: Rows
    tokens: tuple[str, ...]
    prefix: int
    grid: tuple[int, ...]
    label: int
    notes: tuple[str, ...] = ()


def seen(backbone: Backbone, task: Task, example: Example) -> ModelInput:
    """The example, encoded; `LensError` or `InputError` for one that cannot be had."""
    own = example.picture if task.modality == "image" else example.sentence
    if not own and (example.picture or example.sentence):
        raise LensError(f"The example must be {'an image' if task.modality == 'image' else 'a text'} here.")
    label = -1
    if own:
        raw: Any = _decoded(own) if task.modality == "image" else own
    else:
        if not 0 <= example.index < len(task.test):
            last = len(task.test) - 1
            raise LensError(f"example must be a whole number from 0 to {last:,}, got {example.index}.")
        raw = task.test.examples[example.index]
        label = int(task.test.labels[example.index])
    inputs = backbone.encode([raw])
    if task.modality == "image":
        return _image(backbone, inputs, label)
    if isinstance(backbone, CausalLM):
        return _piece(backbone, inputs, raw)
    return _text(backbone, inputs, raw, label)


def _image(backbone: Backbone, inputs: Rows, label: int) -> ModelInput:
    tokens, prefix, grid = _patches(backbone)
    names = ["class token", *(f"register {place}" for place in range(1, prefix))][:prefix]
    if grid:
        names += [f"patch {row + 1},{column + 1}" for row in range(grid[0]) for column in range(grid[1])]
    else:
        names += [f"token {place}" for place in range(prefix, tokens)]
    return ModelInput(inputs, tuple(names), prefix, grid, label)


def _patches(backbone: Backbone) -> tuple[int, int, tuple[int, ...]]:
    """How many tokens an image makes, how many of them are no patches, and the grid of the patches."""
    model: Any = backbone.model
    if hasattr(model, "patch_embed"):
        rows, columns = model.patch_embed.grid_size
        prefix = int(getattr(model, "num_prefix_tokens", 1))
    else:
        config = model.config
        size, patch = config.image_size, config.patch_size
        rows = columns = int(size) // int(patch)
        prefix = 1
    return prefix + rows * columns, prefix, (int(rows), int(columns))


def _text(backbone: Backbone, inputs: Rows, text: str, label: int) -> ModelInput:
    assert isinstance(backbone, TransformersText)
    tokenizer = backbone.tokenizer
    ids = inputs["ids"][0].tolist()
    notes = _cut(len(ids), len(tokenizer(text)["input_ids"]))
    unknown = sum(each == tokenizer.unk_token_id for each in ids)
    if unknown:
        notes.append(f"{unknown} of {len(ids)} tokens are unknown to this model.")
    return ModelInput(inputs, tuple(tokenizer.convert_ids_to_tokens(ids)), 0, (), label, tuple(notes))


def _piece(backbone: CausalLM, inputs: Rows, text: str) -> ModelInput:
    """A text to continue: it has no class, and a token that begins with a space begins a word."""
    ids = inputs["ids"][0].tolist()
    if not ids:
        raise LensError("The text must have at least one token.")
    notes = _cut(len(ids), len(backbone.tokenizer(text)["input_ids"]))
    return ModelInput(inputs, tuple(marked(backbone, ids)), 0, (), -1, tuple(notes))


def marked(backbone: CausalLM, ids: Sequence[int]) -> list[str]:
    """The names of tokens: their texts, with the mark of tokenizers of bytes for the space that begins a word."""
    names = [backbone.tokenizer.decode([each]) for each in ids]
    return [WORD + name[1:] if name.startswith(" ") else name for name in names]


def _cut(read: int, whole: int) -> list[str]:
    return [f"The model reads the first {read} of {whole:,} tokens."] if whole > read else []


def _decoded(picture: str) -> bytes:
    try:
        return base64.b64decode(picture, validate=True)
    except binascii.Error:
        raise LensError("The picture did not arrive whole.") from None
