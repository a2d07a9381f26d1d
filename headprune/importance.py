"""Gradient importance of heads (Michel et al. 2019; docs/theory/importance.md), pure given a model with gate points.

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
from headprune.heads import AttentionPoint, HeadSpace, attention_points

Estimator = Literal["example", "position", "batch", "signed"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
NO_PADDING = -1  # for models that classify whole examples
MINI_BATCH = 32  # examples over which the estimator `batch` takes the mean, as the released code does


def example_losses(model: Any, batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of every example, summed over its target tokens, without label smoothing; padding counts 0.

    :param model: a fairseq model (`get_normalized_probs`, a dictionary that knows the padding symbol)
    :param batch: `net_input` (keyword arguments of the model) and `target`: [batch, tgt] tokens, or [batch] labels
    :returns: nats (batch,)
    """
    return output_losses(model, model(**batch["net_input"]), batch["target"])


def output_losses(model: Any, output: Any, target: Tensor) -> Tensor:
    """The losses of `example_losses`, of an output that `model` has computed.

    :returns: nats (batch,), summed over positions
    """
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


def query_positions(model: Any, batch: Mapping[str, Any], point: AttentionPoint) -> Tensor:
    """The positions at which the queries of a module are not padding (batch, positions).

    The encoder asks at the source tokens. The decoder asks where it predicts, so its padding is that of the target; a
    decoder whose targets are labels of whole examples asks at the tokens it reads.

    :raises ValueError: an input without `src_tokens`.
    """
    inputs, target = batch["net_input"], batch["target"]
    if "src_tokens" not in inputs:
        raise ValueError(f"positions are those of `src_tokens`; the input has {', '.join(inputs) or 'nothing'}")
    tokens = inputs["src_tokens"] if point.type == "encoder" else inputs.get("prev_output_tokens", inputs["src_tokens"])
    if point.type != "encoder" and target.numel() == tokens.numel():
        return target.reshape(tokens.shape).ne(padding_index(model))
    return tokens.ne(_token_padding(model))


def _token_padding(model: Any) -> int:
    """The padding symbol among the tokens that the encoder, or the only part of a model, reads."""
    for part in (getattr(model, "encoder", None), *model.modules()):
        if getattr(part, "dictionary", None) is not None:
            return int(part.dictionary.pad())
    return padding_index(model)


def goes_on(batch: Mapping[str, Any], model: Any = None) -> bool:
    """Return whether the rows of a batch go on where those of the batch before it ended; in a model with a memory they
    do unless `start` is True."""
    remembers = model is not None and any(hasattr(module, "forget") for module in model.modules())
    return not batch["net_input"].get("start", not remembers)


def forget(model: nn.Module) -> None:
    """Empties the memory, of the mode it is in, of a model that has one."""
    for module in model.modules():
        if hasattr(module, "forget"):
            module.forget()  # type: ignore[operator]


def gate_gradients(model: nn.Module, batch: Mapping[str, Any]) -> list[Tensor]:
    """dL/dm for every gate of a forward pass, L being the sum of the example losses.

    The model computes in the mode it is in, under the mask that is set; of a masked head the derivative is that of
    opening it again. A module that the pass leaves out, as layer dropout does in training, has derivative 0.

    :returns: for each attention module with heads, in head-space order, (tgt or src, batch, heads of the module)
    :raises ValueError: the model has no heads.
    """
    HeadSpace.prunable(model)
    with probing(model) as points, torch.enable_grad():
        loss = example_losses(model, batch).sum()
        probes = [probe[0] if (probe := point.module.out_proj.probes) else None for point in points]
    called = [probe for probe in probes if probe is not None]
    found = iter(torch.autograd.grad(loss, called, materialize_grads=True) if called else ())
    return [
        _closed(model, batch, point) if probe is None else next(found)
        for point, probe in zip(points, probes, strict=True)
    ]


def _closed(model: nn.Module, batch: Mapping[str, Any], point: AttentionPoint) -> Tensor:
    """The derivative in the gates of a module that was not called (positions, batch, heads)."""
    batch_size, positions = query_positions(model, batch, point).shape
    return point.module.out_proj.weight.new_zeros(positions, batch_size, point.module.num_heads)


def head_importance(
    model: nn.Module,
    batches: Iterable[Mapping[str, Any]],
    estimator: Estimator = "example",
    mini_batch: int = MINI_BATCH,
) -> Tensor:
    """Raw importance scores, in evaluation mode (no dropout), under whatever mask is set, from an empty memory.

    - `example`: E over examples of |Σ over positions dL/dm|, the paper's formula (estimator A)
    - `position`: |dL/dm| per position, summed, per unpadded position of the module's queries: of the source in the
      encoder, of the target in decoder and cross-attention (B, Michel's own forks)
    - `batch`: |dL/dm| of the mean loss of `mini_batch` examples, averaged over these (C): depends on how many they are
    - `signed`: E over examples of dL/dm, no absolute value (D, the released MT baseline's: docs/theory/defects.md#d1)

    :param batches: as `example_losses` takes them; how examples are cut into them changes no estimator
    :param mini_batch: of `batch`: examples that follow each other by `id`, or as they come; a rest counts by its size
    :returns: float64 scores (N,), higher = more important, in head-space order
    :raises ValueError: an unknown estimator, no examples, or a model without heads.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; available: {', '.join(ESTIMATORS)}")
    total = torch.zeros(len(HeadSpace.prunable(model)), dtype=torch.float64)
    count, slopes = torch.zeros_like(total), _Slopes()
    training = model.training
    model.eval()
    try:
        forget(model)
        for batch in batches:
            gradients = [gradient.double() for gradient in gate_gradients(model, batch)]
            count += _positions(model, batch) if estimator == "position" else gradients[0].shape[1]
            if estimator == "batch":
                slopes.add(batch, gradients)
            else:
                total += torch.cat([_reduce(gradient, estimator) for gradient in gradients]).cpu()
    finally:
        model.train(training)
    if not count.all():
        raise ValueError("importance needs at least one example; the batches are empty")
    return (slopes.over(mini_batch) if estimator == "batch" else total) / count


class _Slopes:
    """dL/dm of every example, for the estimator `batch`."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []  # (batch, N) each
        self.numbers: list[Tensor] = []  # (batch,) each

    def add(self, batch: Mapping[str, Any], gradients: Iterable[Tensor]) -> None:
        self.rows.append(torch.cat([gradient.sum(0) for gradient in gradients], 1).cpu())
        self.numbers.append(batch.get("id", torch.zeros(len(self.rows[-1]))).cpu())

    def over(self, size: int) -> Tensor:
        """The sum over mini-batches of |Σ over their examples dL/dm| (N,)."""
        in_order = torch.cat(self.rows)[torch.cat(self.numbers).argsort(stable=True)]
        return torch.stack([some.sum(0).abs() for some in in_order.split(size)]).sum(0)


def _positions(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Number of unpadded positions of the queries of every head's module (N,)."""
    points = [point for point in attention_points(model) if point.indices]
    counts = torch.tensor([int(query_positions(model, batch, point).sum()) for point in points])
    return counts.repeat_interleave(torch.tensor([len(point.indices) for point in points]))


def _reduce(gradient: Tensor, estimator: str) -> Tensor:
    """(positions, batch, heads) → (heads,), the sum over what the estimator averages."""
    if estimator == "position":
        return gradient.abs().sum((0, 1))
    per_example = gradient.sum(0)  # (batch, heads)
    return per_example.abs().sum(0) if estimator == "example" else per_example.sum(0)


def normalise_per_module(scores: Tensor, space: HeadSpace, alive: Tensor | None = None) -> Tensor:
    """Divides every score by the Euclidean norm of its module's scores (docs/theory/importance.md#normalisation).

    :param scores: (N,)
    :param alive: ones for the heads that are left (N,); the others are zeroed before the norm (defect D3)
    :returns: float64 scores (N,)
    :raises ValueError: a space without heads, or another number of scores.
    """
    if not len(space) or scores.shape != (len(space),):
        raise ValueError(
            f"scores of shape {tuple(scores.shape)} for {len(space)} heads: expected (N,), at least one head"
        )
    scores = scores.double() if alive is None else scores.double() * alive
    module = torch.tensor(space.module_of)
    squares = torch.zeros(len(space.modules), dtype=torch.float64).index_add(0, module, scores**2)
    return scores / (squares.sqrt()[module] + 1e-20)
