"""The packaged language model itself; where it is not installed the head of the report says that this is left out."""

from __future__ import annotations

import copy

import peft
import pytest
import torch
from twin import NAME, moved

from replora import Method
from replora.adapters.peft import save_peft
from replora.backbones import CausalLM, load_backbone

PROMPT = "The capital of France is"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backbone() -> CausalLM:
    found = load_backbone(NAME)
    assert isinstance(found, CausalLM)
    return found


def test_it_is_the_model_that_its_card_says(backbone):
    config = backbone.model.config
    assert (backbone.blocks, backbone.width) == (30, 576)
    assert (config.num_attention_heads, config.num_key_value_heads, config.vocab_size) == (9, 3, 49_152)
    rows = backbone.encode([PROMPT])
    with torch.no_grad():
        logits = backbone.logits(backbone.features(rows, 0))
    assert backbone.tokenizer.decode(logits[0, -1].argmax()) == " Paris"


def test_peft_gives_the_same_logits_on_all_blocks(backbone, tmp_path):
    model = copy.deepcopy(backbone.model).float()
    adapted = moved(model, Method(name="replora", rank=4), 0.01)
    oracle = peft.PeftModelForCausalLM.from_pretrained(copy.deepcopy(model), save_peft(adapted, tmp_path)).eval()
    rows = backbone.encode([PROMPT, "To be, or not to be, that is the question: whether 'tis nobler in the mind"])
    with torch.no_grad():
        ours, untouched = (each.logits(each.features(rows, 0)) for each in map(backbone.with_model, (adapted, model)))
        expected = oracle(input_ids=rows["ids"], attention_mask=rows["mask"].long()).logits
    assert (expected - untouched)[rows["mask"]].abs().max() > 0.1
    torch.testing.assert_close(ours[rows["mask"]], expected[rows["mask"]], atol=1e-3, rtol=0)
