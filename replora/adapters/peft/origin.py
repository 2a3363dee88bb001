"""What a PEFT folder says of the model it belongs to, so that PEFT's AutoPeftModel finds and builds it."""

from __future__ import annotations

from typing import Any

from torch import nn

NOTHING: dict[str, Any] = {"base_model_name_or_path": None, "auto_mapping": None, "task_type": None}


def origin_of(model: nn.Module) -> dict[str, Any]:
    """base_model_name_or_path, auto_mapping and task_type of adapter_config.json; None for what is not known.

    A class of no table of transformers (a bare encoder, a model of images) has no task_type: AutoPeftModel takes it by
    auto_mapping.
    """
    if "PreTrainedModel" not in (each.__name__ for each in type(model).__mro__):
        return NOTHING
    from transformers import PreTrainedModel  # seconds of loading, which a model of timm does without

    if not isinstance(model, PreTrainedModel):
        return NOTHING
    own = type(model)
    return {
        "base_model_name_or_path": model.config._name_or_path or None,
        "auto_mapping": {"base_model_class": own.__name__, "parent_library": own.__module__},
        "task_type": _task_of(own.__name__),
    }


def _task_of(class_name: str) -> str | None:
    """PEFT's word for what a class of transformers does, by transformers' own tables."""
    from transformers.models.auto import modeling_auto as tables

    tasks = {
        "SEQ_CLS": tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        "TOKEN_CLS": tables.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
        "QUESTION_ANS": tables.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
        "CAUSAL_LM": tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "SEQ_2_SEQ_LM": tables.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }
    return next((task for task, names in tasks.items() if class_name in names.values()), None)
