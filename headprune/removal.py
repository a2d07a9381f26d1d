"""Physical removal of heads, and the checkpoint of a pruned model.

The pruned model computes what the masked one does; how heads are cut is in `headprune.models.cutting`.
"""

from __future__ import annotations

import copy
import json
import pickle
import pkgutil
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq.models.transformer import TransformerModel, TransformerModelBase
from torch import nn

from headprune.gates import clear_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.method import OutputProjection
from headprune.models import AllAttentionLanguageModel, HeadpruneRoberta, HeadpruneTransformer, PrunableLanguageModel
from headprune.models.cutting import head_tensors, shrink
from headprune.models.roberta import HEAD
from headprune.results.vocabulary import CHECKPOINTS
from headprune.system.files import replacing

FORMAT = 1


@dataclass(frozen=True)
class CheckpointKind:
    """Models of one class, as their checkpoints describe them."""

    architecture: str  # the name by which fairseq knows it
    model: Any
    parts: tuple[str, ...]  # those with a dictionary: source and target, or the one of both
    task: Mapping[str, Any]  # what fairseq wants to know of the task
    shared: tuple[str, ...] = ()  # arguments of the model that it wants to know of the task, too

    def build(self, arguments: Mapping[str, Any], dictionaries: Sequence[Any]) -> Any:
        """A new model; `dictionaries` are those of `parts`."""
        task = Namespace(source_dictionary=dictionaries[0], target_dictionary=dictionaries[-1])
        return self.model.build_model(Namespace(**arguments), task)


TRANSLATION = CheckpointKind(
    "headprune_transformer",
    HeadpruneTransformer,
    ("encoder", "decoder"),
    {"_name": "translation", "left_pad_source": True, "left_pad_target": False},
)
LANGUAGE_MODEL = CheckpointKind("all_attention_lm", AllAttentionLanguageModel, ("decoder",), {"_name": "streaming_lm"})
TRANSFORMER_LM = CheckpointKind(
    "headprune_transformer_lm", PrunableLanguageModel, ("decoder",), {"_name": "language_modeling"}
)
SENTENCE_PREDICTION = CheckpointKind(
    "headprune_roberta",
    HeadpruneRoberta,
    ("encoder",),
    {
        "_name": "sentence_prediction",
        "data": "",
        "init_token": 0,
        "separator_token": 2,
        "classification_head_name": HEAD,
        "regression_target": False,
        "seed": 1,
    },
    ("num_classes", "max_positions"),
)
LIBRARY = (TRANSLATION, LANGUAGE_MODEL, TRANSFORMER_LM, SENTENCE_PREDICTION)


def kinds() -> tuple[CheckpointKind, ...]:
    """Those that tasks bring, and those that come along."""
    return (*(pkgutil.resolve_name(place) for place in CHECKPOINTS), *LIBRARY)


def kind_of(model: Any) -> CheckpointKind:
    """A fairseq Transformer without gate points is of the kind of those with them.

    :raises ValueError: any other model, also a variety of fairseq's Transformer: its checkpoint would be read back as
        something else, if at all.
    """
    if type(model) in (TransformerModelBase, TransformerModel):
        return TRANSLATION
    kind = next((kind for kind in kinds() if isinstance(model, kind.model)), None)
    if kind is None:
        raise ValueError(
            f"no checkpoint format for {type(model).__name__}; there is one for fairseq's TransformerModel and for "
            + " and ".join(kind.model.__name__ for kind in kinds())
        )
    return kind


def remove_heads(model: nn.Module, mask: HeadMask) -> nn.Module:
    """A smaller copy of `model` that computes what `model` computes under `mask`.

    :raises ValueError: the mask is over another head space than the model's.
    """
    if mask.space != HeadSpace.of(model):
        raise ValueError(f"the mask is over {len(mask.space)} heads, the model has {len(HeadSpace.of(model))}")
    clear_mask(model)
    pruned = copy.deepcopy(model)
    shrink(pruned, mask.kept_indices())
    return pruned


def reconstructed(model: nn.Module, outputs: Mapping[str, OutputProjection]) -> nn.Module:
    """A copy of `model` with these output projections, by module; `model` itself if there are none.

    :raises ValueError: a module that the model does not have, or a parameter of another shape.
    """
    if not outputs:
        return model
    clear_mask(model)
    changed = copy.deepcopy(model)
    write_outputs(changed, outputs)
    return changed


def write_outputs(model: nn.Module, outputs: Mapping[str, OutputProjection]) -> None:
    """Gives modules of `model` these output projections, in place.

    :raises ValueError: a module that the model does not have, or a parameter of another shape.
    """
    modules = {point.name: point.module.out_proj for point in attention_points(model) if point.indices}
    for name, new in outputs.items():
        if name not in modules:
            raise ValueError(f"new output projection of {name!r}: the model has {', '.join(modules)}")
        for kind, value in (("weight", new.weight), ("bias", new.bias)):
            old = getattr(modules[name], kind)
            if value is None:
                continue
            if old is None or old.shape != value.shape:
                shape = None if old is None else tuple(old.shape)
                raise ValueError(f"new {kind} of {name} has shape {tuple(value.shape)}, the module's has {shape}")
            with torch.no_grad():
                old.copy_(value)


def regrown(model: Any) -> Any:
    """A whole model with the weights of a pruned one; heads that it lacks are there again, with new random weights.

    Under the mask of the heads that `model` has, it computes what `model` computes.

    :raises ValueError: see `kind_of`.
    """
    dictionaries = [getattr(model, part).dictionary for part in kind_of(model).parts]
    whole = kind_of(model).build(plain_arguments(model.cfg) | {"keep_heads": None}, dictionaries)
    state, own = whole.state_dict(), model.state_dict()
    for point in attention_points(whole):
        heads = point.module.num_heads
        kept = torch.tensor(next(p.indices for p in attention_points(model) if p.name == point.name), dtype=torch.long)
        for name, dim in head_tensors(point.module).items():
            key = f"{point.path}.{name}"
            if key in own:
                blocks = own.pop(key).cpu().unflatten(dim, (len(kept), -1))
                grown = state[key].unflatten(dim, (heads, -1)).index_copy(dim, kept, blocks)
                state[key] = grown.flatten(dim, dim + 1)
    whole.load_state_dict(state | own)
    return whole.eval().to(next(model.parameters()).device)


def save(model: Any, path: str | Path) -> None:
    """Writes a pruned (or whole) model as a fairseq checkpoint of plain data, atomically.

    `load` reads it without fairseq's task; `fairseq-generate --user-dir "$(headprune user-dir)" --path …`, and for a
    language model `fairseq-eval-lm`, read it too.

    :param model: a fairseq Transformer, a language model or a RoBERTa of ours, its heads removed or not, in any mode
    :raises ValueError: a model of another kind (see `kind_of`); nothing is written.
    """
    kind = kind_of(model)
    kept = {point.name: list(point.indices) for point in attention_points(model)}
    arguments = plain_arguments(model.cfg)
    dictionaries = {part: _symbols(getattr(model, part).dictionary) for part in kind.parts}
    arguments |= {"_name": kind.architecture, "arch": kind.architecture, "keep_heads": json.dumps(kept)}
    state = {
        "args": None,
        "cfg": {"model": arguments, "task": {**kind.task, **{name: arguments[name] for name in kind.shared}}},
        "model": {k: v.detach().cpu().clone() for k, v in model.state_dict().items() if "gate_method." not in k},
        "optimizer_history": [{"optimizer_name": "", "criterion_name": "", "lr_scheduler_state": {}, "num_updates": 0}],
        "extra_state": {"train_iterator": {"epoch": 1}},
        "headprune": {"format": FORMAT, "dictionaries": dictionaries},
    }
    # By a stream, as torch tells of a full disk by the system's error there, and of a path by one of its own.
    with replacing(path) as temporary, Path(temporary).open("wb") as stream:
        torch.save(state, stream)


def load(path: str | Path) -> Any:
    """The model in a checkpoint of `save`, in evaluation mode. No code in the file is ever run.

    :raises ValueError: the file is not such a checkpoint, or holds more than plain data.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} is refused: it holds more than tensors and plain data ({error})") from error
    except (EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged, or no checkpoint at all ({error})") from error
    known = state.get("headprune") if isinstance(state, dict) else None
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise ValueError(f"{path} is not a pruned checkpoint of format {FORMAT}; write one with headprune.removal.save")
    arguments = state["cfg"]["model"]
    kind = next((kind for kind in kinds() if kind.architecture == arguments["arch"]), None)
    if kind is None:
        known_names = ", ".join(kind.architecture for kind in kinds())
        raise ValueError(f"{path} is a checkpoint of architecture {arguments['arch']!r}; available: {known_names}")
    model = kind.build(arguments, [_dictionary(known["dictionaries"][part]) for part in kind.parts])
    model.load_state_dict(state["model"])
    return model.eval()


def plain_arguments(cfg: Any) -> dict[str, Any]:
    """fairseq's nested Transformer configuration as the flat arguments of its command line, plain values only."""
    flat: dict[str, Any] = {}
    for item in fields(cfg):
        value = getattr(cfg, item.name)
        if is_dataclass(value):
            flat |= {f"{item.name}_{f.name}": getattr(value, f.name) for f in fields(value)}
        else:
            flat[item.name] = value
    plain = (str, int, float, bool, list, type(None))
    return {key: value for key, value in flat.items() if isinstance(value, plain) and not key.endswith("_name")}


def _symbols(dictionary: Any) -> dict[str, list[Any]]:
    special = dictionary.nspecial
    return {"symbols": dictionary.symbols[special:], "counts": [int(c) for c in dictionary.count[special:]]}


def _dictionary(saved: Mapping[str, list[Any]]) -> Any:
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for symbol, count in zip(saved["symbols"], saved["counts"], strict=True):
        dictionary.add_symbol(symbol, n=count)
    return dictionary
