"""The plain export: a Transformer as tensors with names and a JSON that says what they are, for anyone with torch.

The layout is in docs/from-python.md#plain-export, with a loader. Names are those of fairseq's state dict; positions are
a table of their own, so that learned and sinusoidal ones are read alike.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.models.transformer import TransformerModel, TransformerModelBase
from fairseq.models.transformer_lm import TransformerLanguageModel
from safetensors.torch import save_file
from torch import Tensor, nn

from headprune import __version__
from headprune.heads import attention_points
from headprune.models import HeadpruneTransformer
from headprune.system.files import replacing

FORMAT = 1
WEIGHTS, LAYOUT = "model.safetensors", "model.json"
MODELS = (TransformerModel, TransformerModelBase, HeadpruneTransformer, TransformerLanguageModel)
ACTIVATIONS = ("relu", "gelu", "tanh")  # by the name of the function in torch.nn.functional

_LAYER = r"(encoder|decoder)\.layers\.\d+\."
_ATTENTION = _LAYER + r"(self_attn|encoder_attn)\."
_NORM = r"(weight|bias)"
KNOWN = {
    r"(encoder|decoder)\.embed_tokens\.weight": "vectors of the symbols [symbols, width]",
    r"(encoder|decoder)\.embed_positions\.weight": "vectors of the positions, padding not counted [longest, width]",
    r"(encoder|decoder)\.layernorm_embedding\." + _NORM: "layer norm of the sum of both [width]",
    _ATTENTION
    + r"[qkv]_proj\.weight": "queries, keys or values, head by head [heads · head_width, width of the input]",
    _ATTENTION + r"[qkv]_proj\.bias": "bias of queries, keys or values, head by head [heads · head_width]",
    _ATTENTION + r"out_proj\.weight": "output of the heads, head by head [width, heads · head_width]",
    _ATTENTION + r"out_proj\.bias": "bias of the output [width]",
    _LAYER + r"(self_attn|encoder_attn)_layer_norm\." + _NORM: "layer norm of the attention's sublayer [width]",
    _LAYER + r"fc1\.weight": "first map of the feed-forward sublayer [inner, width]",
    _LAYER + r"fc1\.bias": "its bias [inner]",
    _LAYER + r"fc2\.weight": "second map of the feed-forward sublayer [width, inner]",
    _LAYER + r"fc2\.bias": "its bias [width]",
    _LAYER + r"final_layer_norm\." + _NORM: "layer norm of the feed-forward sublayer [width]",
    r"(encoder|decoder)\.layer_norm\." + _NORM: "layer norm after the last layer [width]",
    r"decoder\.output_projection\.weight": "logits of the symbols [symbols, width]",
}
IGNORED = re.compile(r"(encoder|decoder)\.version|.*\._float_tensor")  # fairseq's own


def export(model: nn.Module, folder: str | Path) -> None:
    """Writes `model.safetensors` and `model.json` into a folder, which is made.

    A mask that is set is not written.

    :param model: a fairseq Transformer for translation or language modeling, its heads removed or not
    :raises ValueError: an attention module without a head, or a part that the layout has no name for; nothing is
        written.
    """
    _require_plain(model)
    tensors, same = _distinct(_tensors(model))
    layout = _layout(model) | {
        "same": same,
        "tensors": {name: {"shape": list(tensor.shape), "what": _meaning(name)} for name, tensor in tensors.items()},
    }
    with replacing(Path(folder) / WEIGHTS) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
    with replacing(Path(folder) / LAYOUT) as temporary:
        temporary.write_text(json.dumps(layout, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _require_plain(model: Any) -> None:
    """Refuse what the layout does not describe."""
    name = type(model).__name__
    if type(model) not in MODELS:
        raise ValueError(f"no plain export of {name}; there is one of {', '.join(kind.__name__ for kind in MODELS)}")
    empty = [point.name for point in attention_points(model) if not point.indices]
    if empty:
        raise ValueError(
            f"no plain export: {', '.join(empty)} has no heads, and the layout is of modules with one or more; prune "
            "with min_per_module=1, or write a checkpoint with headprune.removal.save"
        )
    unknown = [key for key in _state(model) if not _meaning(key)]
    if unknown:
        raise ValueError(f"no plain export of {name}: the layout has no name for {', '.join(unknown[:4])}")
    for part in _parts(model).values():
        if part.cfg.activation_fn not in ACTIVATIONS:
            raise ValueError(
                f"no plain export: the activation is {part.cfg.activation_fn!r}; described are {', '.join(ACTIVATIONS)}"
            )
        if part.cfg.cross_self_attention:
            raise ValueError("no plain export: self-attention over the encoder's output, `cross_self_attention`")


def _parts(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ("encoder", "decoder") if hasattr(model, name)}


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in model.state_dict().items() if not IGNORED.fullmatch(key)}


def _meaning(name: str) -> str:
    """The sentence about the tensor of this name; none for a name that is not known."""
    return next((what for pattern, what in KNOWN.items() if re.fullmatch(pattern, name)), "")


def _tensors(model: Any) -> dict[str, Tensor]:
    """All tensors of a model by name, those of positions as the layout has them."""
    tables = {f"{name}.embed_positions.weight": _positions(part) for name, part in _parts(model).items()}
    return _state(model) | {name: table for name, table in tables.items() if table is not None}


def _positions(part: Any) -> Tensor | None:
    """The vectors of the positions from that of the first token on [longest, width]; None where there are none.

    fairseq counts positions from the index of the padding symbol on.
    """
    table = part.embed_positions
    if table is None:
        return None
    weights: Tensor = table.weights if hasattr(table, "weights") else table.weight
    return weights[part.padding_idx + 1 :][: part.max_positions()]


def _distinct(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors without those that are another's values, and by the names of these, the other's."""
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        first.setdefault((tensor.data_ptr(), tensor.shape), name)
    names = {name: first[tensor.data_ptr(), tensor.shape] for name, tensor in tensors.items()}
    return (
        {name: tensor for name, tensor in tensors.items() if names[name] == name},
        {name: other for name, other in names.items() if other != name},
    )


def _layout(model: Any) -> dict[str, Any]:
    """Everything but the tensors."""
    words = model.decoder.dictionary
    return {
        "format": FORMAT,
        "written_by": f"headprune {__version__}",
        "symbols": {"begin": words.bos(), "padding": words.pad(), "end": words.eos(), "unknown": words.unk()},
        **{name: _of_part(part) for name, part in _parts(model).items()},
        "heads": {point.path: list(point.indices) for point in attention_points(model)},
    }


def _of_part(part: Any) -> dict[str, Any]:
    """The numbers of an encoder or a decoder, and its vocabulary by index."""
    return {
        "layers": len(part.layers),
        "width": part.embed_tokens.embedding_dim,
        "longest": part.max_positions(),
        "scale": part.embed_scale,
        "norm_first": any(layer.normalize_before for layer in part.layers),
        "activation": part.cfg.activation_fn,
        "vocabulary": list(part.dictionary.symbols),
    }
