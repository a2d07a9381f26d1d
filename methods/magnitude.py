"""Heads with small weights go first."""

from dataclasses import dataclass

import torch

from headprune.gates import head_blocks
from headprune.heads import HeadSpace, attention_points
from headprune.importance import normalise_per_module
from headprune.method import ScoreMethod, option, register


@register("magnitude", paper="weight-norm baseline, e.g. Kim & Awadalla 2020; docs/theory/further-methods.md#magnitude")
class Magnitude(ScoreMethod):
    """Scores a head by the size of its weights: ‖(W_Q, W_K, W_V, W_O)‖_F, or ‖W_V W_O‖_F of the map it adds.

    Data-free. fairseq's own head reduction uses the L1 norm of Q, K and V only; the output block belongs to the head
    as much as they do and is counted here.
    """

    family = "Data-free and gradient scores"

    @dataclass(frozen=True)
    class Options:
        norm: str = option(
            "blocks",
            "`blocks`: of the four weight blocks together; `product`: of W_V W_O",
            choices=("blocks", "product"),
        )
        per_module: bool = option(False, "divide by the norm of the module's scores before comparing modules")

    def scores(self, model, batches, rng):
        space = HeadSpace.prunable(model)
        with torch.no_grad():
            modules = [head_blocks(p.module) for p in attention_points(model) if p.indices]
            scores = torch.cat([self._norms(blocks) for blocks in modules]).cpu()
        return normalise_per_module(scores, space) if self.options.per_module else scores

    def _norms(self, blocks):
        if self.options.norm == "product":
            values, outputs = blocks["v"].double(), blocks["o"].double()  # (H, dh, d_in), (H, dh, d)
            return torch.einsum("hki,hko->hio", values, outputs).flatten(1).norm(dim=1)
        return torch.stack([block.double().flatten(1).norm(dim=1) for block in blocks.values()]).norm(dim=0)
