"""Cross-entropy of hidden states, smoothed, plain or of an adaptive softmax, without log-probabilities of all words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from fairseq.modules.adaptive_softmax import TiedHeadModule, TiedLinear
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 2048  # targets whose logits are in memory at a time
UNDERFLOW = 1e-30  # a probability below it has too few digits to take the logarithm of


def decoded_losses(
    model: Any, sample: Mapping[str, Any], padding: int, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The losses of `smoothed_cross_entropy` of a mini-batch, those of padding left out.

    :param model: takes `features_only`, and has its output layer at `decoder.output_projection`; where that is None, at
        `decoder.adaptive_softmax`
    :param padding: index of the padding symbol
    :param smoothing: 0 for an adaptive softmax
    :returns: loss and negative log-likelihood in nats, scalars summed over the targets; only the loss has a derivative
    """
    features, target = model(**sample["net_input"], features_only=True)[0], sample["target"]  # (batch, tgt, model)
    if not features.is_contiguous():
        features, target = features.transpose(0, 1), target.t()
    features, target = features.flatten(0, 1), target.flatten()
    real = target.ne(padding)
    if not bool(real.all()):
        kept = real.nonzero().squeeze(1)
        features, target = features.index_select(0, kept), target.index_select(0, kept)
    output = model.decoder.output_projection
    if output is None:
        return adaptive_cross_entropy(model.decoder.adaptive_softmax, features, target)
    return smoothed_cross_entropy(features, output.weight, target, smoothing, output.bias)


def adaptive_cross_entropy(softmax: Any, features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy under fairseq's adaptive softmax (Grave et al. 2017), summed: of the frequent words and the
    bands of rare ones, and of the words of each band that has targets.

    :param softmax: tied to an adaptive input in its words, as wide as the model; see `is_tied`
    :param features: (targets, model), without those of padding
    :param target: (targets,)
    :returns: the loss twice, as `smoothed_cross_entropy` does; only the first has a derivative
    """
    features = softmax.dropout_module(features)
    targets, places = softmax.adapt_target(target)
    words = torch.cat([softmax.head.word_proj.weight, softmax.head.class_proj.weight])
    parts = [smoothed_cross_entropy(features, words, targets[0], 0.0)]
    for (inner, dropout, outer), own, where in zip(softmax.tail, targets[1:], places, strict=True):
        if where is not None:
            hidden = dropout(inner(features.index_select(0, where)))
            parts.append(smoothed_cross_entropy(hidden, outer.weight, own, 0.0))
    loss, nll = (torch.stack(each).sum() for each in zip(*parts, strict=True))
    return loss, nll


def is_tied(softmax: Any) -> bool:
    """True if the words of an adaptive softmax are those of an adaptive input as wide as the model."""
    return isinstance(softmax.head, TiedHeadModule) and isinstance(softmax.head.word_proj, TiedLinear)


def smoothed_cross_entropy(
    features: Tensor, weight: Tensor, target: Tensor, smoothing: float, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """fairseq's label-smoothed loss and the negative log-likelihood, both summed, of logits features · weightᵀ + bias.

    With ε spread over the V − 1 other words, that is e = ε / (V − 1), the loss of a target y is

        (1 − ε − e) (−log p_y) + e Σ_v (−log p_v) = log Z − (1 − ε − e) z_y − e Σ_v z_v

    as the weights of all words sum to 1; its derivative in the logits is p − (1 − ε − e) 1_y − e. So one softmax, which
    becomes the derivative in place, is all that is computed over the vocabulary.

    :param features: (targets, model), without those of padding
    :param weight: (vocabulary, model)
    :param target: (targets,)
    :param bias: (vocabulary,)
    :returns: loss and negative log-likelihood in nats; only the loss has a derivative
    """
    return _SmoothedCrossEntropy.apply(features, weight, bias, target, smoothing)  # type: ignore[no-any-return,no-untyped-call]


class _SmoothedCrossEntropy(torch.autograd.Function):
    """All derivatives are computed with the loss, whose logits need not be kept then; differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        other = smoothing / (len(weight) - 1)
        own = 1 - smoothing - other
        needs = ctx.needs_input_grad
        whole = weight.sum(0)  # Σ_v z_v of all targets is a product with it
        constant = 0.0 if bias is None else float(bias.sum())
        loss, nll = features.new_zeros(()), features.new_zeros(())
        gradients = [torch.empty_like(features) if needs[0] else None, torch.empty_like(weight) if needs[1] else None]
        gradients += [torch.zeros_like(bias) if bias is not None and needs[2] else None]
        for start in range(0, max(len(features), 1), ROWS):
            x, y = features[start : start + ROWS], target[start : start + ROWS].unsqueeze(1)
            logits = x @ weight.t()  # (targets, vocabulary)
            if bias is not None:
                logits += bias
            chosen = logits.gather(1, y)
            p = torch.softmax(logits, 1)
            likelihood = p.gather(1, y)
            surprise = -likelihood.log()
            if bool((likelihood < UNDERFLOW).any()):
                surprise = logits.logsumexp(1, keepdim=True) - chosen
            del logits
            nll += surprise.sum()
            loss += (surprise + (1 - own) * chosen).sum() - other * ((x @ whole).sum() + len(x) * constant)
            p.scatter_(1, y, likelihood - own)
            if gradients[0] is not None:
                torch.mm(p, weight, out=gradients[0][start : start + ROWS]).sub_(whole, alpha=other)
            if gradients[1] is not None:
                gradients[1].addmm_(p.t(), x, beta=float(start > 0)).sub_(x.sum(0), alpha=other)
            if gradients[2] is not None:
                gradients[2] += p.sum(0) - other * len(x)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor | None, ...]:
        found = (None if gradient is None else gradient * pulls[0] for gradient in ctx.saved_tensors)
        return *found, None, None
