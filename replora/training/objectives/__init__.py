"""What is learnt, by the modality of the task: a batch's loss, what trains beside adapters, how runs are tested."""

from __future__ import annotations

from replora.catalog import Modality
from replora.training.objectives.base import Objective
from replora.training.objectives.continuing import Continuing
from replora.training.objectives.labelling import Labelling

OBJECTIVES: dict[Modality, type[Objective]] = {"image": Labelling, "text": Labelling, "continuation": Continuing}

__all__ = ["OBJECTIVES", "Objective"]
