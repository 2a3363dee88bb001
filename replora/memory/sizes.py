"""How large a backbone is on a task, known by name before anything is loaded. No torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from replora.catalog import MAX_TOKENS
from replora.config import AUTO
from replora.tasks import task_card


class Trained(Protocol):
    """What races and studies have in common."""

    @property
    def task(self) -> str: ...

    @property
    def backbone(self) -> str: ...

    @property
    def adapted_blocks(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def test_examples(self) -> int: ...


@dataclass(frozen=True)
class Sizes:
    """What decides the memory of a backbone: tokens of an example at most, width, attention heads, parameters.

    value_width: of the values where that is not the width; 0 where it is.
    """

    tokens: int
    width: int
    heads: int
    parameters: int
    value_width: int = 0


SMOLLM2 = Sizes(64, 576, 9, 134_515_008, value_width=192)
SIZES = {
    "dinov2_small_6": Sizes(26, 384, 6, 10_800_000),
    "minilm_l3": Sizes(MAX_TOKENS, 384, 12, 17_300_000),
    "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k": Sizes(197, 192, 3, 5_717_416),
    "timm:vit_small_patch16_224.augreg_in21k_ft_in1k": Sizes(197, 384, 6, 22_050_664),
    "hf:sentence-transformers/all-MiniLM-L6-v2": Sizes(MAX_TOKENS, 384, 12, 22_713_216),
    "hf:distilbert-base-uncased": Sizes(MAX_TOKENS, 768, 12, 66_362_880),
    "hf:bert-base-uncased": Sizes(MAX_TOKENS, 768, 12, 109_482_240),
    **dict.fromkeys(("smollm2", "hf:HuggingFaceTB/SmolLM2-135M-Instruct"), SMOLLM2),
}
LONGEST = {"wordnet_topics": 48, "movie_sentiment": 68}  # tokens of large batches of texts
LARGE = Sizes(257, 1024, 16, 304_000_000)  # for any other backbone


@lru_cache(maxsize=256)
def sizes_of(backbone: str, task: str) -> Sizes:
    """The sizes of a backbone on a task; `TaskError` where there is no such task."""
    card = task_card(task)
    found = SIZES.get(card.backbone if backbone == AUTO else backbone, LARGE)
    return dataclasses.replace(found, tokens=LONGEST.get(task, MAX_TOKENS)) if card.modality == "text" else found
