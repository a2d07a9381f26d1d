"""Released RoBERTa models as the weights that trainings begin with.

Sizes and dictionary are checked, classification heads left out, and nothing in a file is run. Names of weights may be
those of any version of fairseq, which renames old ones as it loads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.models import ARCH_MODEL_NAME_REGISTRY
from torch import Tensor

from headprune.checkpoints import Description, describe
from headprune.checkpoints.dictionaries import dictionary_of
from headprune.models.masked_pairs import MaskedPairs
from headprune.models.roberta import ARCHITECTURE
from headprune.tasks.nli.arguments import pretraining_arguments
from headprune.tasks.nli.sections import RobertaArchitecture
from headprune.tasks.nli.trainings import Pretraining
from headprune.training.trainer import configuration

FAMILY = ("roberta", ARCHITECTURE)
WORDS, POSITIONS, HEADS = "embed_tokens.weight", "embed_positions.weight", "classification_heads."
BEFORE = 2  # rows of the embeddings of positions that stand for no position: up to the number of the padding
# Keys of the architecture by fairseq's names.
SIZES = {
    "encoder_embed_dim": "width",
    "encoder_ffn_embed_dim": "feed_forward",
    "encoder_layers": "layers",
    "encoder_attention_heads": "heads",
    "activation_fn": "activation",
    "encoder_normalize_before": "normalize_before",
}


def require_fit(place: Path, architecture: RobertaArchitecture, folder: Path) -> None:
    """Asks whether a checkpoint can begin the trainings of a model.

    :param folder: of the dictionary that the data are numbered by
    :raises ValueError: it holds no RoBERTa, or one of other sizes, or of another dictionary; names key, value and rule.
    :raises FileNotFoundError: there is none, or no dictionary.
    """
    found = describe(place)
    if ARCH_MODEL_NAME_REGISTRY.get(found.architecture) not in FAMILY:
        raise ValueError(f"{place} is of architecture {found.architecture!r}; one of fairseq's `roberta` is needed")
    for name, key in SIZES.items():
        value, own = found.arguments.get(name), getattr(architecture, key)
        if value is not None and value != own:
            raise ValueError(f"{place} has {name} = {value!r}, architecture.{key} is {own!r}: they must be equal")
    if (most := len(_tensor(found, POSITIONS)) - BEFORE) < architecture.positions:
        raise ValueError(
            f"{place} has {most} positions, architecture.positions is {architecture.positions}: at most as many"
        )
    words, rows = dictionary_of(folder / "dict.txt"), len(_tensor(found, WORDS))
    if len(words) + 1 != rows:  # and the mask
        raise ValueError(
            f"{place} has embeddings of {rows} symbols; {folder / 'dict.txt'} has {len(words)}, special ones included, "
            "to which <mask> is added: it is the dictionary of another model"
        )


def begun(data: Path, architecture: RobertaArchitecture, place: Path) -> Any:
    """A model of an architecture without a classification head, with the weights of a checkpoint, in evaluation mode.

    :param data: folder of fairseq's binarised data, which give the dictionary
    :raises ValueError: the checkpoint does not fit, see `require_fit`, or has other parts.
    """
    require_fit(place, architecture, data / "input0")
    cfg = configuration(pretraining_arguments(data, architecture, Pretraining(updates=1)))
    model = MaskedPairs.setup_task(cfg.task).build_model(cfg.model)
    try:
        model.load_state_dict(dict(_weights(describe(place).weights, architecture.positions)))
    except RuntimeError as error:
        raise ValueError(f"{place}: its weights are not those of `roberta`: {str(error).splitlines()[-1]}") from error
    return model.eval()


def _weights(given: Mapping[str, Tensor], positions: int) -> dict[str, Tensor]:
    """Those of the encoder; of the embeddings of positions the first ones."""
    own = {name: value for name, value in given.items() if not name.startswith(HEADS)}
    return {name: value[: positions + BEFORE] if name.endswith(POSITIONS) else value for name, value in own.items()}


def _tensor(found: Description, ending: str) -> Tensor:
    """:raises ValueError: there is none of such a name."""
    value = next((value for name, value in found.weights.items() if name.endswith(ending)), None)
    if value is None:
        raise ValueError(f"{found.path} has no {ending}: it is no encoder of fairseq's `roberta`")
    return value
