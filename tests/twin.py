"""A twin of the packaged language model that takes a second to make: three small layers, random, of the same class.

Three query heads share a value, as in SmolLM2, and the head is tied to the embeddings. Its tokenizer works on bytes, so
it reads any text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

from replora import Method, attach
from replora.adapters.attach import adapter_of

Model = TypeVar("Model", bound=nn.Module)
NAME = "smollm2"  # whose twin it is
SENTENCES = ["The weather today is fine, and so is the king.", "What news, my lord? None that the day has brought."]


def write_twin(folder: Path, *, seed: int = 0) -> transformers.LlamaForCausalLM:
    """The model and its tokenizer as transformers writes them, in bfloat16, and the model as it is read back."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special, alphabet = ["<|endoftext|>"], pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    )
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[0]).save_pretrained(folder)
    return transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def moved(model: Model, method: Method, by: float, *, blocks: int | None = None, runs: int = 1) -> Model:
    """The model with adapters on its last blocks, None being all, away from their start."""
    adapted = attach(model, method, runs=runs, layers=None if blocks is None else range(-blocks, 0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return adapted
