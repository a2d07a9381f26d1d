"""Initial weights (Shim et al. 2021): U(±√(1/d)), and U(±√(1/(d·L))) for what enters the attention logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from headprune.models.all_attention.attention import AllAttention


@torch.no_grad()
def initialise(decoder: Any) -> None:
    """Sets every parameter of a new decoder; layer norms are the identity already."""
    a = decoder.architecture
    wide, narrow = a.width**-0.5, (a.width * a.layers) ** -0.5
    for module in decoder.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.uniform_(module.weight, -wide, wide)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    if decoder.adaptive_softmax is not None:
        nn.init.uniform_(decoder.adaptive_softmax.head.class_proj.weight, -narrow, narrow)
    for module in decoder.modules():
        if isinstance(module, AllAttention):
            for linear in (module.q_proj, module.k_proj, module.v_proj, module.r_proj):
                nn.init.uniform_(linear.weight, -narrow, narrow)
            _persistent(module, a.initialisation, narrow)


def _persistent(attention: AllAttention, initialisation: str, bound: float) -> None:
    """Uniform as the projections; or such that scaled keys and values have unit variance (Sukhbaatar et al. 2019)."""
    number = attention.persistent_keys.shape[1]
    if initialisation == "shim" or not number:
        nn.init.uniform_(attention.persistent_keys, -bound, bound)
        nn.init.uniform_(attention.persistent_values, -bound, bound)
    else:
        nn.init.normal_(attention.persistent_keys, std=attention.head_dim**-0.5)
        nn.init.normal_(attention.persistent_values, std=number**-0.5)
