"""The shape that a model and its batches must have to be pruned; everything is said before anything is computed.

A model is called as `model(**batch["net_input"])`, and `get_normalized_probs(output, log_probs=True)` makes log
probabilities of what comes out. Its attention modules are those that `headprune.heads.attention_points` finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import clear_mask, set_gates
from headprune.heads import AttentionPoint, HeadSpace, attention_points
from headprune.importance import example_losses, forget
from headprune.method import Batches
from headprune.models.devices import placed

PARTS = ("q_proj", "k_proj", "v_proj", "head_dim")  # of an attention module, beside `num_heads` and `out_proj`


def prunable_space(model: nn.Module) -> HeadSpace:
    """The heads of `model`, all of which can be removed.

    :raises ValueError: no attention module, none with a head, one of another shape than fairseq's, or one that stands
        in two places of the model; several models, or one that trains gates; says what was found instead.
    :raises TypeError: no torch module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is a {type(model).__name__}; it must be a torch.nn.Module")
    if isinstance(inside := getattr(model, "models", None), nn.ModuleList):
        raise ValueError(f"{type(model).__name__} is no model but holds {len(inside)}: prune one of its `models`")
    if getattr(model, "gate_method", None) is not None:
        raise ValueError(f"{type(model).__name__} silences heads itself, by its `gate_method`: set it to None before")
    points = [point for point in attention_points(model) if point.indices]
    if not points and not attention_points(model):
        raise ValueError(
            f"{type(model).__name__} has no attention module, one with `num_heads`, `out_proj` and "
            f"{', '.join(f'`{part}`' for part in PARTS)}; it has {_kinds(model)}"
        )
    for point in points:
        _require_shape(point)
    _require_single_places(model, points)
    return HeadSpace.prunable(model)


def _kinds(model: nn.Module) -> str:
    """The kinds of the modules of a model, the most frequent first: `12 Linear, 3 LSTM`."""
    counts = Counter(type(module).__name__ for module in model.modules() if module is not model)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common(8)) or "no modules at all"


def _require_shape(point: AttentionPoint) -> None:
    """Refuse a module whose heads are not blocks of four projections."""
    module, where = point.module, f"{point.path}, a {type(point.module).__module__}.{type(point.module).__name__},"
    missing = [part for part in PARTS if not hasattr(module, part)]
    if missing:
        raise ValueError(
            f"{where} has no {', '.join(missing)}: heads can be removed where queries, keys and values have projections"
            " of their own, as in fairseq's MultiheadAttention"
        )
    if getattr(module, "bias_k", None) is not None:
        raise ValueError(f"{where} has `bias_k` and `bias_v`, which no head can be cut out of")
    width = module.num_heads * module.head_dim
    wrong = {p: tuple(getattr(module, p).weight.shape) for p in PARTS[:3] if len(getattr(module, p).weight) != width}
    if module.out_proj.weight.shape[1] != width:
        wrong["out_proj"] = tuple(module.out_proj.weight.shape)
    if wrong:
        raise ValueError(f"{where} has {module.num_heads} heads of width {module.head_dim}, but weights of {wrong}")


def _require_single_places(model: nn.Module, points: list[AttentionPoint]) -> None:
    """Refuse modules that stand in two places, and two modules with one place in the head space."""
    paths: dict[int, list[str]] = {id(point.module): [] for point in points}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.get(id(module), []).append(path)
    for shared in (where for where in paths.values() if len(where) > 1):
        raise ValueError(f"{' and '.join(shared)} are one attention module: heads are removed of modules used once")
    places: dict[str, str] = {}
    for point in points:
        if point.name in places:
            raise ValueError(
                f"{places[point.name]} and {point.path} are both {point.name}: a module is told by its type and by the "
                "last number of its path"
            )
        places[point.name] = point.path


def checked_batches(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> Batches:
    """The batches on the device of the model.

    :raises ValueError: there are none, or one without `net_input` and its `src_tokens`, or without `target`.
    """
    if isinstance(batches, Mapping):
        raise ValueError("the batches are a single one; put it into a list")
    found = list(batches)
    if not found:
        raise ValueError("the batches are empty: heads are judged on examples, 100 or more of them")
    for number, batch in enumerate(found):
        names = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
        inputs, target = (batch.get(k) if isinstance(batch, Mapping) else None for k in ("net_input", "target"))
        if not isinstance(inputs, Mapping) or "src_tokens" not in inputs or not isinstance(target, Tensor):
            raise ValueError(
                f"batch {number} has {names}; it needs `net_input`, the keyword arguments of the model, `src_tokens` "
                "among them, and `target`, a tensor of tokens or labels, as fairseq's batches have"
            )
    where = next(model.parameters()).device
    return [placed(dict(batch), where) for batch in found]


def require_gates(model: Any, batch: Mapping[str, Any]) -> None:
    """Reads one batch, and refuses a model whose heads do not all go through their output projections, positions first.

    :raises ValueError: names the module, or what the model lacks.
    """
    softmax = getattr(getattr(model, "decoder", None), "adaptive_softmax", None)
    if softmax is None and not hasattr(model, "get_normalized_probs"):
        raise ValueError(
            f"{type(model).__name__} has no `get_normalized_probs(output, log_probs)`, by which methods take the "
            "probabilities of the targets: a method of one line, `return output.log_softmax(-1)`"
        )
    shapes, losses = _contexts(model, batch)
    if not bool(losses.isfinite().all()):
        raise ValueError(f"the losses of {type(model).__name__} on the first batch are not all finite numbers")
    for point in (point for point in attention_points(model) if point.indices):
        shape, examples = shapes.get(point.name), len(batch["target"])
        if shape is None:
            raise ValueError(f"{point.path} does not call its `out_proj`: its heads cannot be silenced there")
        if len(shape) != 3 or shape[1] != examples:
            raise ValueError(
                f"{point.path} gives its `out_proj` contexts of shape {shape} for {examples} examples; expected "
                "(positions, examples, heads · head_dim), positions first as in fairseq"
            )


def _contexts(model: Any, batch: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], Tensor]:
    """Shapes of what the output projections read in a forward pass, by module, and the losses (batch,)."""
    shapes: dict[str, tuple[int, ...]] = {}
    set_gates(model, torch.ones(len(HeadSpace.of(model))))
    hooks = [
        point.module.out_proj.register_forward_pre_hook(
            lambda module, inputs, name=point.name: shapes.update({name: tuple(inputs[0].shape)})
        )
        for point in attention_points(model)
        if point.indices
    ]
    try:
        forget(model)
        with torch.no_grad():
            losses = example_losses(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
        clear_mask(model)
        forget(model)
    return shapes, losses
