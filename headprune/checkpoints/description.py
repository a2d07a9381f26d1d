"""The things that a fairseq checkpoint says of itself, whatever version wrote it."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from headprune.checkpoints.reading import plain_data

TRAINING = ("optimization", "dataset", "optimizer", "criterion")  # parts of a configuration that tell of the training
NESTED = ("encoder", "decoder", "quant_noise")  # parts of a configuration that flat arguments name by a prefix


@dataclass(frozen=True)
class Description:
    """A checkpoint as its file describes it.

    :param form: `args` (a namespace: fairseq 0.6 to 0.9 and most later ones) or `cfg` (0.10 and later)
    :param arguments: of the model, flat, as the command line names them
    :param task: settings of the task, likewise
    :param weights: by name
    :param updates: of the training; None: not told
    :param training: settings of the training, flat: `criterion`, `label_smoothing`, `lr`, `max_tokens`, …
    """

    path: Path
    form: str
    arguments: Mapping[str, Any]
    task: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    updates: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """The name by which fairseq knows it, `transformer_iwslt_de_en`."""
        return str(self.arguments.get("arch") or self.arguments.get("_name"))

    @property
    def task_name(self) -> str:
        """The name of the task; old checkpoints that tell none are of translation."""
        return str(self.task.get("_name") or self.task.get("task") or "translation")

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """Source and target language."""
        return self.task.get("source_lang"), self.task.get("target_lang")

    def flag(self, key: str, default: bool) -> bool:
        """A setting of the task that is true or false; old checkpoints hold it as text."""
        value = self.task.get(key, default)
        return value if isinstance(value, bool) else str(value).lower() not in ("false", "none", "0")

    @cached_property
    def words(self) -> dict[str, int]:
        """Rows of the embeddings of every part that has some, `encoder` and `decoder`."""
        found = {}
        for part in ("encoder", "decoder"):
            table = re.compile(rf"{part}\.embed_tokens\.(weight|embeddings\.\d+\.0\.weight)")
            tables = [tensor for name, tensor in self.weights.items() if table.fullmatch(name)]
            if tables:
                found[part] = sum(map(len, tables))
        return found

    def layers(self, part: str) -> int:
        """Number of layers of `encoder` or `decoder` that the file has weights of."""
        start = f"{part}.layers."
        return len({name[len(start) :].partition(".")[0] for name in self.weights if name.startswith(start)})


def describe(path: str | Path) -> Description:
    """Read a checkpoint; no model is built and no code in it is run.

    :raises ValueError: not a checkpoint of fairseq, with what the file holds instead; or see `plain_data`.
    :raises FileNotFoundError: there is none.
    """
    return description_of(plain_data(path), Path(path))


def description_of(state: Any, path: Path) -> Description:
    """The description of what `path` holds.

    :raises ValueError: it is not a checkpoint of fairseq.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} is no checkpoint of fairseq: it holds one {type(state).__name__}")
    form = next((key for key in ("cfg", "args") if state.get(key) is not None), None)
    weights = state.get("model")
    if form is None or not isinstance(weights, Mapping) or not weights:
        held = ", ".join(map(str, list(state)[:6])) or "nothing"
        raise ValueError(
            f"{path} is no checkpoint of fairseq: it holds {held}{', …' if len(state) > 6 else ''}; "
            "expected 'model', with weights, and 'args' or 'cfg', with the arguments of its training"
        )
    if form == "args":
        arguments = task = flat(state["args"])
    else:
        arguments, task = (flat(state["cfg"].get(part) or {}) for part in ("model", "task"))
    if not (arguments.get("arch") or arguments.get("_name")):
        raise ValueError(f"{path} does not tell its architecture: there is no 'arch' among its arguments")
    history = state.get("optimizer_history") or [{}]  # whose updates are 0 where nobody knows their number
    training = task if form == "args" else _training(state["cfg"])
    return Description(path, form, arguments, task, weights, history[-1].get("num_updates") or None, training)


def _training(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training in the parts of a configuration, as a namespace of arguments has them."""
    found: dict[str, Any] = {}
    for part in TRAINING:
        found |= flat(parts.get(part) or {})
    return found | {"criterion": flat(parts.get("criterion") or {}).get("_name")}


def flat(arguments: Any) -> dict[str, Any]:
    """Arguments as a flat mapping: those of the nested parts of a configuration get its name for a prefix."""
    given = vars(arguments) if isinstance(arguments, Namespace) else dict(arguments)
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in NESTED and isinstance(value, Mapping):
            found |= {f"{key}_{inner}": each for inner, each in value.items()}
        else:
            found[key] = value
    return found
