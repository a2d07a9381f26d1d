"""Label-smoothed cross-entropy of hidden states, without the log-probabilities of the whole vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 2048  # targets whose logits are in memory at a time
UNDERFLOW = 1e-30  # a probability below it has too few digits to take the logarithm of


def smoothed_cross_entropy(features: Tensor, weight: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """fairseq's label-smoothed loss and the negative log-likelihood, both summed, of logits `features · weightᵀ`.

    With ε spread over the V − 1 other words, that is e = ε / (V − 1), the loss of a target y is

        (1 − ε − e) (−log p_y) + e Σ_v (−log p_v) = log Z − (1 − ε − e) z_y − e Σ_v z_v

    as the weights of all words sum to 1; its derivative in the logits is p − (1 − ε − e) 1_y − e. So one softmax, which
    becomes the derivative in place, is all that is computed over the vocabulary.

    :param features: (targets, model), without those of padding
    :param weight: (vocabulary, model)
    :param target: (targets,)
    :returns: loss and negative log-likelihood in nats; only the loss has a derivative
    """
    return _SmoothedCrossEntropy.apply(features, weight, target, smoothing)  # type: ignore[no-any-return,no-untyped-call]


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Both derivatives are computed with the loss, whose logits need not be kept then."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        other = smoothing / (len(weight) - 1)
        own = 1 - smoothing - other
        needs = ctx.needs_input_grad
        whole = weight.sum(0)  # Σ_v z_v of all targets is a product with it
        loss, nll = features.new_zeros(()), features.new_zeros(())
        gradients = [torch.empty_like(features) if needs[0] else None, torch.empty_like(weight) if needs[1] else None]
        for start in range(0, max(len(features), 1), ROWS):
            x, y = features[start : start + ROWS], target[start : start + ROWS].unsqueeze(1)
            logits = x @ weight.t()  # (targets, vocabulary)
            chosen = logits.gather(1, y)
            p = torch.softmax(logits, 1)
            likelihood = p.gather(1, y)
            surprise = -likelihood.log()
            if bool((likelihood < UNDERFLOW).any()):
                surprise = logits.logsumexp(1, keepdim=True) - chosen
            del logits
            nll += surprise.sum()
            loss += (surprise + (1 - own) * chosen).sum() - other * (x @ whole).sum()
            p.scatter_(1, y, likelihood - own)
            if gradients[0] is not None:
                torch.mm(p, weight, out=gradients[0][start : start + ROWS]).sub_(whole, alpha=other)
            if gradients[1] is not None:
                gradients[1].addmm_(p.t(), x, beta=float(start > 0)).sub_(x.sum(0), alpha=other)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = (None if gradient is None else gradient * pulls[0] for gradient in ctx.saved_tensors)
        return features, weight, None, None
