"""The parts of a checkpoint, counted, and whether its heads can be removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headprune.checkpoints import Description, describe, open_model
from headprune.heads import attention_points

# The part of a model that a parameter belongs to, by the names that fairseq gives them; the first that fits.
PARTS = (
    ("attention of the encoder", r"^encoder\..*self_attn\."),
    ("cross-attention", r"encoder_attn\."),
    ("attention of the decoder", r"self_attn\.|\.attention\."),
    ("feed-forward layers", r"\.fc[12]\.|feed_forward"),
    ("norms", r"layer_?norm|_ln\."),
    ("output layer", r"output_projection|embed_out|adaptive_softmax"),
    ("embeddings", r"embed_"),
)
OTHERS = "others"


@dataclass(frozen=True)
class Inspection:
    """A checkpoint for the eye.

    :param dictionaries: the files that were found; empty: none was needed to count
    :param heads: of every attention module, `encoder.0`, in the order of the head space
    :param parameters: by part, shared ones once
    :param refusal: the reason why it cannot be pruned; empty: it can be
    """

    path: str
    form: str
    architecture: str
    task: str
    languages: tuple[str | None, str | None]
    updates: int | None
    words: Mapping[str, int]
    dictionaries: tuple[str, ...] = ()
    heads: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    refusal: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self) | {"prunable": not self.refusal}


def inspect(path: Path, data: Path | None = None) -> Inspection:
    """Look at a checkpoint; what cannot be pruned is counted all the same.

    :param data: folder of its dictionaries
    :raises ValueError: the file is no checkpoint of fairseq, or damaged, or holds code.
    :raises FileNotFoundError: there is none.
    """
    found = describe(path)
    try:
        opened = open_model(path, data)
    except (ValueError, FileNotFoundError) as error:
        weights = ((name, tensor.numel()) for name, tensor in found.weights.items())
        return Inspection(**_told(found), parameters=_by_part(weights), refusal=str(error))
    return Inspection(
        **_told(found),
        dictionaries=tuple(map(str, opened.dictionaries)),
        heads={point.name: len(point.indices) for point in attention_points(opened.model)},
        parameters=_by_part((name, each.numel()) for name, each in opened.model.named_parameters()),
    )


def _told(found: Description) -> dict[str, Any]:
    """The parts of an inspection that need no model."""
    return {
        "path": str(found.path),
        "form": found.form,
        "architecture": found.architecture,
        "task": found.task_name,
        "languages": found.pair,
        "updates": found.updates,
        "words": found.words,
    }


def _by_part(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Numbers of parameters by part, in the order of `PARTS`; parts without one are left out.

    :param sizes: names and numbers
    """
    counts: Counter[str] = Counter()
    for name, size in sizes:
        counts[next((part for part, pattern in PARTS if re.search(pattern, name)), OTHERS)] += size
    return {part: counts[part] for part in (*(part for part, _ in PARTS), OTHERS) if counts[part]}
