"""What ships in `assets/`, by name: the two embedded backbones and the five tasks.

Plain data, so that forms, the command line and the docs can list names without loading a model or a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["image", "text"]

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class BackboneCard:
    """An embedded backbone: `folder` is relative to `assets/`, `blocks` counts its transformer blocks."""

    title: str
    modality: Modality
    folder: str
    blocks: int


@dataclass(frozen=True)
class TaskCard:
    """An embedded task: `file` is relative to `assets/`, `backbone` the embedded backbone that fits it."""

    title: str
    modality: Modality
    file: str
    backbone: str
    classes: int
    about: str


BACKBONES: dict[str, BackboneCard] = {
    "dinov2_small_6": BackboneCard("DINOv2 ViT-S/14, 6 blocks, 70 px", "image", "backbones/dinov2_small_6", 6),
    "minilm_l3": BackboneCard("MiniLM, 3 layers, 384 wide", "text", "backbones/minilm_l3", 3),
}

TASKS: dict[str, TaskCard] = {
    "digits": TaskCard(
        "Digits", "image", "tasks/digits.parquet", "dinov2_small_6", 10, "Handwritten digits from MNIST."
    ),
    "fashion": TaskCard(
        "Fashion", "image", "tasks/fashion.parquet", "dinov2_small_6", 10, "Articles of clothing from Fashion-MNIST."
    ),
    "emoji": TaskCard(
        "Emoji",
        "image",
        "tasks/emoji.parquet",
        "dinov2_small_6",
        14,
        "Emoji pictures of three vendors: the counter-example, attention hardly needs adapting here.",
    ),
    "wordnet_topics": TaskCard(
        "WordNet topics", "text", "tasks/wordnet_topics.parquet", "minilm_l3", 12, "Noun definitions, by topic."
    ),
    "movie_sentiment": TaskCard(
        "Movie sentiment", "text", "tasks/movie_sentiment.parquet", "minilm_l3", 2, "Film review sentences, by mood."
    ),
}
