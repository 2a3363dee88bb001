"""The standard PEFT LoRA folder, written and read.

A folder holds adapter_config.json and adapter_model.safetensors, keys `base_model.model.<module>.lora_A.weight` (r,
in_features) and `.lora_B.weight` (out_features, r); trained modules beside the adapters (the head) stand under
modules_to_save. RepLoRA's MLPs are gone by then: what is written is A and B. A fused [query, key, value] projection
becomes one LoRA of r = 2 rank with A = [A_q; A_v] and B = [[B_q, 0], [0, 0], [0, B_v]]. A projection that is not
adapted is not written: its module is no target, its rows of a fused B are zero.

Read is what PEFT itself writes, by one rule: a field of the configuration, a key of the weights is understood, or it is
refused by its name. Where PEFT would pass over what it does not know, or what is missing, a folder is refused here.
"""

from __future__ import annotations

from replora.adapters.peft.folder import AdapterFileError
from replora.adapters.peft.reading import load_peft
from replora.adapters.peft.writing import save_peft

__all__ = ["AdapterFileError", "load_peft", "save_peft"]
