"""The sections of a profile about language models in checkpoints of fairseq, and the text that they read in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from headprune.data.lengths import Bound, Bounds
from headprune.settings import TOKENS, BinarisedData, GivenShape, GivenSubject, Optimisation, PreparedData


class BinarisedText(BinarisedData):
    """A folder of running text that fairseq-preprocess wrote, for models from checkpoints. docs/own-models.md"""

    reading = frozenset({"tokens_per_sample", "sample_break_mode", "add_bos_token"})

    track: Literal["lm_blocks"] = Field(description="language modeling, block by block")
    tokens_per_sample: int = Field(
        1024, ge=1, le=TOKENS, description="tokens of a block at most, as in the training of the models"
    )
    sample_break_mode: Literal["none", "complete", "complete_doc", "eos"] = Field(
        "none", description="where blocks end: anywhere, or with a line; as in the training of the models"
    )
    add_bos_token: bool = Field(False, description="a block begins with `<s>`; as in the training of the models")

    @property
    def blocks(self) -> dict[str, Any]:
        """The settings of fairseq's task that say how text is cut."""
        return self.model_dump(include=set(self.reading))

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        from headprune.tasks.language_blocks.binarised import prepare  # imports torch

        return prepare(self, folder, bounds)

    def check_lengths(self, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        for split, bound in bounds.items():
            longest = statistics["splits"].get(split, {}).get("longest", 0)
            if longest > bound.tokens:
                raise ValueError(
                    f"{self.data_bin}: a block of {split} has {longest:,} tokens (`tokens_per_sample`); at most "
                    f"{bound.tokens:,} fit: {bound.reason}"
                )


class BlockTraining(Optimisation):
    """The further training of language models on blocks of text."""

    max_tokens: int = Field(4096, ge=1, le=TOKENS, description="tokens per batch and device")


class GivenLanguageModel(GivenSubject):
    """A language model in a checkpoint, of fairseq's `transformer_lm` family. docs/own-models.md"""

    track: Literal["lm_blocks"] = Field(
        description="language modeling, block by block; unless given, that of the dataset"
    )
    further_training: BlockTraining | None = Field(
        None, description="how gates, and what is left of the model, are trained; null: nothing is"
    )

    def check(self, dataset: PreparedData) -> None:
        from headprune.tasks.language_blocks.binarised import source_of  # imports torch

        assert isinstance(dataset, BinarisedText)  # the one kind of its track
        key = "dataset"
        try:
            source_of(dataset)
            for seed, place in self.places:
                key = "checkpoint" if seed is None else f"checkpoints.{seed}"
                require_fit(Path(place), dataset)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{key}: {error}") from None

    @property
    def limits(self) -> dict[str, list[Bound]]:
        """The bounds that it sets blocks, by split; `{}` in a reason stands for its name."""
        read, trained = [Bound(readable(self.shape), "the positions of model {!r}, less one for `<s>`")], []
        if self.further_training is not None:
            trained = [Bound(self.further_training.max_tokens, "models.{}.further_training.max_tokens")]
        return {"train": trained, "valid": [*read, *trained], "test": read}


def readable(shape: GivenShape) -> int:
    """The most tokens of a block that a model reads, without the symbol before it: fairseq trains on no longer ones."""
    outline = shape.outline
    return outline.positions[1] - outline.description.flag("add_bos_token", False)


def require_fit(checkpoint: Path, dataset: BinarisedText) -> None:
    """:raises ValueError: no language model of fairseq's, one of another dictionary, or one that was trained on text
        that is cut in another way.
    :raises FileNotFoundError: there is no checkpoint, or no dictionary.
    """
    from headprune.checkpoints import outline_of
    from headprune.checkpoints.dictionaries import dictionary_of, require_size
    from headprune.removal import TRANSFORMER_LM

    found = outline_of(checkpoint)
    if found.kind != TRANSFORMER_LM.architecture:
        told = found.description.architecture
        raise ValueError(f"{checkpoint} is of architecture {told!r}, which does not read running text in blocks")
    where = Path(dataset.data_bin) / "dict.txt"
    require_size(dictionary_of(where), found.description.words["decoder"], "decoder", where)
    for key, value in trained_on(found.description, dataset.blocks).items():
        own = getattr(dataset, key)
        if value != own and not (key == "tokens_per_sample" and own < value):
            told = str(value).lower() if isinstance(value, bool) else value
            raise ValueError(
                f"{checkpoint} was trained with {key} = {value}, the dataset has {own}: give it `{key}: {told}`"
            )


def trained_on(description: Any, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `usual` that a checkpoint tells, as its training had them.

    :param description: a `headprune.checkpoints.Description`
    """
    told = {**description.task, **description.arguments}
    found = {key: told[key] for key in usual if told.get(key) is not None}
    if "add_bos_token" in found:
        found["add_bos_token"] = description.flag("add_bos_token", False)
    return found
