"""The sections of a profile about translation with what somebody has: a checkpoint and its binarised data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from headprune.data.lengths import Bound, Bounds
from headprune.settings import BinarisedData, GivenSubject, Place, PreparedData
from headprune.tasks.translation.sections import Training

Track = Literal["mt", "mt_tokens"]
PADDING = {"left_pad_source": True, "left_pad_target": False, "truncate_source": False}  # of a training by default


class BinarisedPairs(BinarisedData):
    """A folder of sentence pairs that fairseq-preprocess wrote, for models from checkpoints. docs/own-models.md"""

    reading = frozenset({"languages", "bpe", "tokenizer"})

    track: Track = Field("mt", description="translation; unless given, `mt_tokens` where there are no `references`")
    languages: str = Field(
        "",
        max_length=100,
        pattern=r"^([\w.]+-[\w.]+)?$",
        description="`source-target`; empty: as the files are named",
    )
    bpe: Literal["auto", "none", "subword_nmt", "sentencepiece", "gpt2"] = Field(
        "auto", description="subwords of the target; `auto`: what its dictionary shows"
    )
    tokenizer: Literal["none", "moses"] = Field("none", description="tokenisation that is undone where there is text")
    gpt2: Place | None = Field(None, description="folder with `encoder.json` and `vocab.bpe`, for `bpe: gpt2`")
    references: dict[Literal["valid", "test"], Place] = Field(
        default_factory=dict,
        max_length=2,
        description="files with the raw target sentences of a split, one a line, in the order of the data; without "
        "them scores are of tokens, `bleu_tokenized`",
    )

    @model_validator(mode="before")
    @classmethod
    def _track(cls, values: Any) -> Any:
        """Without text there are only tokens to score."""
        if isinstance(values, Mapping) and "track" not in values and not values.get("references"):
            return {**values, "track": "mt_tokens"}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> BinarisedPairs:
        needed = {"valid"} if "test" in self.divide_valid else {"valid", "test"}
        if self.track == "mt" and set(self.references) != needed:
            raise ValueError(
                f"references: of {', '.join(sorted(self.references)) or 'no split'}; BLEU of text needs those of "
                f"{' and '.join(sorted(needed, reverse=True))} and no others. Without any, scores are of tokens, "
                "`track: mt_tokens`"
            )
        if self.track == "mt_tokens" and self.references:
            raise ValueError("references: `track: mt_tokens` scores tokens, and reads no text")
        return self

    def pair(self) -> tuple[str, str]:
        """Source and target language.

        :raises ValueError: nothing tells them.
        :raises FileNotFoundError: there is no such folder.
        """
        from headprune.checkpoints import pair_of  # imports torch, as the check of a checkpoint does

        folder = Path(self.data_bin)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
        found = tuple(self.languages.split("-")) if self.languages else pair_of(folder)
        if found is None:
            held = ", ".join(sorted(each.name for each in folder.iterdir())[:6]) or "nothing"
            text = (folder / "dict.txt").is_file()
            held += "; running text is read with `track: lm_blocks`" if text else ""
            raise ValueError(
                f"{folder} has no data of two languages as fairseq-preprocess writes them, dict.de.txt, dict.en.txt, "
                f"valid.de-en.de.bin, …; in it: {held}"
            )
        return found[0], found[1]

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        from headprune.tasks.translation.binarised import prepare  # imports torch

        return prepare(self, folder, bounds)

    def check_lengths(self, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        for split, bound in bounds.items():
            for language, longest in statistics["splits"].get(split, {}).get("longest", {}).items():
                if longest["tokens"] > bound.tokens:
                    raise ValueError(
                        f"{self.data_bin}: sentence {longest['line']} of {split} has {longest['tokens']:,} {language} "
                        f"tokens, the end included; at most {bound.tokens:,} fit: {bound.reason}"
                    )


class GivenTranslation(GivenSubject):
    """A translation model in a checkpoint, of fairseq's `transformer` family. docs/own-models.md"""

    track: Track = Field("mt", description="translation; unless given, that of the dataset")
    further_training: Training | None = Field(
        None, description="how gates, and what is left of the model, are trained; null: nothing is"
    )

    @property
    def limits(self) -> dict[str, list[Bound]]:
        """The bounds that it sets sentences, by split; `{}` in a reason stands for its name."""
        positions = Bound(min(self.shape.outline.positions), "the positions of model {!r}")
        trained = [positions]
        if self.further_training is not None:
            trained.append(Bound(self.further_training.max_tokens, "models.{}.further_training.max_tokens"))
        return {"train": trained, "valid": trained, "test": [positions]}

    def update(self, dataset: BinarisedPairs) -> tuple[int, int]:
        """Tokens of a batch, and parameters, as many as the checkpoint has."""
        tokens = self.further_training.max_tokens if self.further_training is not None else 0
        return tokens, self.shape.outline.parameters

    def check(self, dataset: PreparedData) -> None:
        if not isinstance(dataset, BinarisedPairs):
            raise ValueError(
                f"dataset: it is of {dataset.origin}, whose dictionary is made anew; a checkpoint reads the data that "
                "it was trained on, a dataset with `data_bin`"
            )
        from headprune.tasks.translation.binarised import source_of  # imports torch

        key = "dataset"
        try:
            pair = source_of(dataset).pair
            for seed, place in self.places:
                key = "checkpoint" if seed is None else f"checkpoints.{seed}"
                require_fit(Path(place), dataset, pair)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{key}: {error}") from None


def require_fit(checkpoint: Path, dataset: BinarisedPairs, pair: tuple[str, str]) -> None:
    """:raises ValueError: no translation model, of other languages or dictionaries, or trained with other padding.
    :raises FileNotFoundError: there is no checkpoint, or no dictionary.
    """
    from headprune.checkpoints import outline_of
    from headprune.checkpoints.dictionaries import dictionary_of, require_size
    from headprune.removal import TRANSLATION

    found = outline_of(checkpoint)
    description = found.description
    if found.kind != TRANSLATION.architecture:
        raise ValueError(f"{checkpoint} is of architecture {description.architecture!r}, which does not translate")
    if all(description.pair) and description.pair != pair:
        told = "-".join(map(str, description.pair))
        raise ValueError(
            f"{checkpoint} translates {told}, the dataset {'-'.join(pair)}: give the dataset `languages: {told}`"
        )
    for key, usual in PADDING.items():
        if (value := description.flag(key, usual)) != usual:
            raise ValueError(f"{checkpoint} was trained with {key} = {value}; a profile reads data with {usual}")
    for part, language in zip(TRANSLATION.parts, pair, strict=True):
        where = Path(dataset.data_bin) / f"dict.{language}.txt"
        require_size(dictionary_of(where), description.words[part], part, where)
