"""Models from descriptions: the architectures that are known, and why others are refused."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_NAME_REGISTRY

from headprune.checkpoints.description import Description
from headprune.checkpoints.dictionaries import require_size
from headprune.naming import unknown
from headprune.removal import LANGUAGE_MODEL, TRANSFORMER_LM, TRANSLATION, CheckpointKind

FAMILIES: dict[str, CheckpointKind] = {
    "transformer": TRANSLATION,
    "transformer_lm": TRANSFORMER_LM,
    TRANSLATION.architecture: TRANSLATION,
    TRANSFORMER_LM.architecture: TRANSFORMER_LM,
    LANGUAGE_MODEL.architecture: LANGUAGE_MODEL,
}

# What trainings were told that has no place in a model whose weights are there already.
OF_TRAINING: dict[str, Any] = {
    **{f"{part}_{key}": None for part in ("encoder", "decoder") for key in ("embed_path", "layers_to_keep")},
    "checkpoint_activations": False,
    "offload_activations": False,
}

# Options that change what heads are, or which parts there are besides attention and feed-forward layers.
UNKNOWN_PARTS = {
    "base_layers": "BASE layers, which are spread over GPUs",
    "char_inputs": "characters for input",
    "character_embeddings": "characters for input",
    "merge_src_tgt_embed": "one table of both dictionaries merged",
    "encoder_xformers_att_config": "attention of xFormers",
    "decoder_xformers_att_config": "attention of xFormers",
    "scale_attn": "NormFormer's norm after attention",
    "scale_fc": "NormFormer's norm between feed-forward layers",
    "scale_heads": "NormFormer's factors of heads",
    "scale_resids": "NormFormer's factors of residuals",
}


def family(found: Description) -> CheckpointKind:
    """The kind of models that a checkpoint is of.

    :raises ValueError: an architecture, or parts of one, that cannot be pruned here, with the reason.
    """
    name = ARCH_MODEL_NAME_REGISTRY.get(found.architecture)
    if name is None:
        known = [arch for arch, model in ARCH_MODEL_NAME_REGISTRY.items() if model in FAMILIES]
        raise ValueError(f"{found.path}: {unknown('architecture', found.architecture, known)}")
    if name not in FAMILIES:
        raise ValueError(
            f"{found.path} cannot be pruned: its architecture {found.architecture!r} is of fairseq's family {name!r}; "
            f"known are {', '.join(sorted(FAMILIES))}"
        )
    for option, what in UNKNOWN_PARTS.items():
        if found.arguments.get(option):
            raise ValueError(
                f"{found.path} cannot be pruned: it was trained with {option} = {found.arguments[option]!r} ({what}), "
                "which is not known here"
            )
    return FAMILIES[name]


def arguments_of(found: Description) -> dict[str, Any]:
    """The arguments of the model alone, those that its checkpoint leaves out as its architecture sets them."""
    given = {key: value for key, value in found.arguments.items() if key not in OF_TRAINING}
    layers = {f"{part}_layers": count for part in ("encoder", "decoder") if (count := found.layers(part))}
    known = given | layers | OF_TRAINING
    complete = Namespace(**known)
    ARCH_CONFIG_REGISTRY[found.architecture](complete)
    return vars(complete) | known


def build(found: Description, dictionaries: Sequence[Any], where: Sequence[Any] = ()) -> Any:
    """The model of a checkpoint, in evaluation mode, ready to be pruned.

    :param dictionaries: of source and target, or the one of a language model
    :param where: the files that they are from, for messages
    :raises ValueError: an unknown architecture (see `family`), dictionaries of another size than the embeddings, or
        weights that do not fit the arguments.
    """
    kind = family(found)
    places = where or [f"the dictionary of the {part}" for part in kind.parts]
    for part, dictionary, place in zip(kind.parts, dictionaries, places, strict=True):
        if part in found.words:
            require_size(dictionary, found.words[part], part, place)
    try:
        model = kind.build(arguments_of(found), dictionaries)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{found.path}: its arguments make no model of {found.architecture!r} ({error})") from error
    try:
        model.load_state_dict(dict(found.weights))
    except RuntimeError as error:
        raise ValueError(f"{found.path}: its weights do not fit its arguments: {_misfit(error)}") from error
    return model.eval()


def _misfit(error: RuntimeError) -> str:
    """The names that torch complains about, the first few of each kind."""
    found = []
    for kind, names in re.findall(r"(Missing|Unexpected) key\(s\) in state_dict: (.*?)\. *\n", f"{error}\n"):
        each = names.replace('"', "").split(", ")
        found.append(f"{kind.lower()} {', '.join(each[:3])}" + (f" and {len(each) - 3} more" if len(each) > 3 else ""))
    found += [f"another shape of {name}" for name in re.findall(r"size mismatch for (\S+):", str(error))[:3]]
    return "; ".join(found) or str(error).splitlines()[0]
