"""What is learnt, by what the task is: a batch's loss, what trains beside adapters, how runs are tested."""

from __future__ import annotations

from replora.tasks import Task
from replora.training.objectives.base import Objective
from replora.training.objectives.choosing import Choosing
from replora.training.objectives.continuing import Continuing
from replora.training.objectives.labelling import Labelling


def objective_for(task: Task) -> type[Objective]:
    """What runs learn on a task; texts to continue of several classes are questions, whose choices those are."""
    if task.modality != "continuation":
        return Labelling
    return Choosing if len(task.classes) > 1 else Continuing


__all__ = ["Objective", "objective_for"]
