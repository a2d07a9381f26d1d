"""Gradient importance of heads (Michel et al. 2019; METHODS.md 7), pure given a model with gate points.

One backward pass yields the derivative of the loss in every single gate (position, example, head). The four estimators
found in the wild are four ways to reduce it: where the absolute value is taken is all that differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headprune.gates import probing
from headprune.heads import HeadSpace

Estimator = Literal["example", "position", "batch", "signed"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
NO_PADDING = -1  # for models that classify whole examples


def example_losses(model: Any, batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of every example, summed over its target tokens, without label smoothing; padding counts 0.

    :param model: a fairseq model (`get_normalized_probs`, a dictionary that knows the padding symbol)
    :param batch: `net_input` (keyword arguments of the model) and `target`: [batch, tgt] tokens, or [batch] labels
    :returns: nats (batch,)
    """
    return output_losses(model, model(**batch["net_input"]), batch["target"])


def output_losses(model: Any, output: Any, target: Tensor) -> Tensor:
    """`example_losses` of an output that `model` has computed."""
    return token_losses(model, output, target).unsqueeze(-1).flatten(1).sum(1)


def token_losses(model: Any, output: Any, target: Tensor) -> Tensor:
    """Cross-entropy of every target in nats, of the shape of `target`; padding counts 0.

    A model with an adaptive softmax gives hidden states; of each token only the probabilities of its own clusters are
    computed then, never those of the whole vocabulary.
    """
    softmax = getattr(getattr(model, "decoder", model), "adaptive_softmax", None)
    if softmax is not None:
        losses = adaptive_losses(softmax, output[0], target)
    else:
        log_probabilities = model.get_normalized_probs(output, log_probs=True)
        target = target.reshape(log_probabilities.shape[:-1])  # (batch, tgt)
        losses = -log_probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return losses.masked_fill(target.eq(padding_index(model)), 0)


def adaptive_losses(softmax: Any, hidden: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy under fairseq's adaptive softmax (Grave et al. 2017), in nats, of the shape of `target`.

    :param hidden: (batch, tgt, model)
    :param target: (batch, tgt)
    """
    flat = target.flatten()
    logits, targets = softmax(hidden, flat)
    losses = F.cross_entropy(logits[0].float(), targets[0], reduction="none")
    for cluster in range(1, len(logits)):
        if targets[cluster] is not None:
            inside = flat.ge(softmax.cutoff[cluster - 1]) & flat.lt(softmax.cutoff[cluster])
            tail = F.cross_entropy(logits[cluster].float(), targets[cluster], reduction="none")
            losses = losses.index_add(0, inside.nonzero().squeeze(1), tail)
    return losses.view_as(target)


def padding_index(model: Any) -> int:
    """Index of the padding symbol in the target dictionary of `model`; one no target has if the targets are labels."""
    part = getattr(model, "decoder", model)
    dictionary = getattr(part, "dictionary", None)
    return int(dictionary.pad() if dictionary is not None else getattr(part, "padding_idx", NO_PADDING))


def gate_gradients(model: nn.Module, batch: Mapping[str, Any]) -> list[Tensor]:
    """dL/dm for every gate of a forward pass, L being the sum of the example losses.

    The model computes in the mode it is in, under the mask that is set; of a masked head the derivative is that of
    opening it again.

    :returns: for each attention module with heads, in head-space order, (tgt or src, batch, heads of the module)
    """
    with probing(model) as points, torch.enable_grad():
        loss = example_losses(model, batch).sum()
        probes = [point.module.out_proj.probes[-1] for point in points]
    return list(torch.autograd.grad(loss, probes))


def head_importance(model: nn.Module, batches: Iterable[Mapping[str, Any]], estimator: Estimator = "example") -> Tensor:
    """Raw importance scores, in evaluation mode (no dropout), under whatever mask is set.

    - `example`: E over examples of |Σ over positions dL/dm|, the paper's formula (estimator A)
    - `position`: |dL/dm| per position, summed, per unpadded position (B, Michel's own forks)
    - `batch`: |dL/dm| of the mean loss of a mini-batch, averaged over batches (C): depends on the batch size
    - `signed`: E over examples of dL/dm, no absolute value (D, defect D1 of the released MT baseline)

    :param batches: mini-batches as `example_losses` takes them
    :returns: float64 scores (N,), higher = more important, in head-space order
    :raises ValueError: an unknown estimator, or no examples.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; available: {', '.join(ESTIMATORS)}")
    training = model.training
    model.eval()
    try:
        total, count = torch.zeros(len(HeadSpace.of(model)), dtype=torch.float64), 0.0
        for batch in batches:
            gradients = [gradient.double() for gradient in gate_gradients(model, batch)]
            total += torch.cat([_reduce(gradient, estimator) for gradient in gradients]).cpu()
            positions = int(batch["target"].ne(padding_index(model)).sum())
            count += {"batch": 1, "position": positions}.get(estimator, gradients[0].shape[1])
    finally:
        model.train(training)
    if not count:
        raise ValueError("importance needs at least one example; the batches are empty")
    return total / count


def _reduce(gradient: Tensor, estimator: str) -> Tensor:
    """(positions, batch, heads) → (heads,), the sum over what the estimator averages."""
    if estimator == "position":
        return gradient.abs().sum((0, 1))
    per_example = gradient.sum(0)  # (batch, heads)
    if estimator == "batch":
        return per_example.mean(0).abs()
    return per_example.abs().sum(0) if estimator == "example" else per_example.sum(0)


def normalise_per_module(scores: Tensor, space: HeadSpace, alive: Tensor | None = None) -> Tensor:
    """Divides every score by the Euclidean norm of its module's scores (METHODS.md 7.2).

    :param scores: (N,)
    :param alive: ones for the heads that are left (N,); the others are zeroed before the norm (defect D3)
    """
    scores = scores.double() if alive is None else scores.double() * alive
    module = torch.tensor(space.module_of)
    squares = torch.zeros(len(space.modules), dtype=torch.float64).index_add(0, module, scores**2)
    return scores / (squares.sqrt()[module] + 1e-20)
