"""A call of `headprune prune`, as it was asked for. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from headprune.amounts import asked, heads_to_keep
from headprune.method.declared import declared
from headprune.method.entry import Entry
from headprune.naming import unknown
from headprune.own.targets import KINDS, Target
from headprune.settings import Calibration, Evaluation

# fairseq-generate's own lengths, so that hypotheses are those that its users know
AS_GENERATE = Evaluation(max_len_a=0, max_len_b=200)


@dataclass(frozen=True)
class PruningRequest:
    """All that the result depends on, and where it goes.

    :param keep: numbers of heads, or percentages of them, as the command line has them
    :param target: instead of `keep`
    :param options: of the method
    :param bpe: subwords of the target, `auto` for what its dictionary shows
    :param references: file of raw target sentences of the valid split; None: the tokens are the references
    :param gpt2: folder with the files of GPT-2's pieces
    :param dictionaries: folder of the model's dictionaries, where the data are text
    :param bpe_codes: file of the codes that cut text into subwords
    :param bpe_vocabulary: files of the pieces that there are, of source and target, or one of both
    :param vocabulary_threshold: pieces with lower numbers there are none; None: all are
    :param sentencepiece: model that does
    :param sentences: of the valid split that are translated; None: all
    :param speed: whether times are measured, each pruned model in pairs with the unpruned one
    :param fine_tune: updates that every pruned model trains on
    :param learning_rate: of these; None: a share of the checkpoint's own
    """

    checkpoint: Path
    data: Path
    method: str
    keep: tuple[str, ...]
    out: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    target: Target | None = None
    bpe: str = "auto"
    tokenizer: str = "none"
    references: Path | None = None
    gpt2: Path | None = None
    dictionaries: Path | None = None
    bpe_codes: Path | None = None
    bpe_vocabulary: tuple[Path, ...] = ()
    vocabulary_threshold: int | None = None
    sentencepiece: Path | None = None
    sentences: int | None = None
    seed: int = 1
    speed: bool = False
    fine_tune: int = 0
    learning_rate: float | None = None
    calibration: Calibration = Calibration()  # noqa: RUF009, frozen
    evaluation: Evaluation = AS_GENERATE

    @property
    def timed(self) -> bool:
        """True if times are measured, asked for by themselves or by a target."""
        return self.speed or (self.target is not None and self.target.timed)

    @cached_property
    def loaded(self) -> Entry:
        """The method itself; what `entry` tells of it is known before."""
        from headprune.method import load_methods  # imports torch

        return load_methods()[self.method]

    def entry(self) -> Entry:
        """The method as its file declares it.

        :raises ValueError: an unknown one, one that learns while a model trains or removes nothing, or unknown options.
        """
        known = declared()
        if known is None:
            from headprune.method import load_methods

            known = load_methods()
        if self.method not in known:
            raise ValueError(unknown("method", self.method, known))
        found = known[self.method]
        able = [name for name, each in known.items() if each.judges]
        if self.method not in able:
            reason = "removes nothing"
            if found.kind != "score":
                reason = "learns its gates in a training, and this command trains no model to find heads"
            raise ValueError(
                f"method {self.method!r} {reason}; methods that judge the heads of a trained model: {', '.join(able)}"
            )
        found.options(self.options)
        return found


def request_of(given: Mapping[str, Any]) -> PruningRequest:
    """The request of a command line.

    :param given: values by the names of its options
    :raises ValueError: see `options_of` and `Target`; or several targets.
    """
    values = dict(given)
    targets = [Target(name, text) for name in KINDS if (text := values.pop(name))]
    if len(targets) > 1:
        raise ValueError(f"{' and '.join(map(str, targets))}: a call has one target")
    changes: dict[str, Any] = {
        "keep": tuple(values.pop("keep") or ()),
        "bpe_vocabulary": tuple(values.pop("bpe_vocabulary", None) or ()),
        "options": options_of(values.pop("option") or []),
        "target": next(iter(targets), None),
        "calibration": Calibration(sentences=values.pop("judged")),
        "evaluation": AS_GENERATE.model_copy(update={"beam": values.pop("beam")}),
    }
    return PruningRequest(**values, **changes)


def options_of(given: Sequence[str]) -> dict[str, Any]:
    """Options of a method from `name=value`, values as YAML has them.

    :raises ValueError: a text without `=`, a name given twice, or a value that is no YAML.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            raise ValueError(f"--option {text!r}: it is name=value, each name once")
        try:
            found[name] = _value(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--option {text!r}: {value!r} is no value ({error})") from error
    return found


def _value(text: str) -> Any:
    """A number, a flag or a text; `1e-3` is a number, which YAML takes for a text."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except ValueError:
        return yaml.safe_load(text)


def budget_of(text: str, total: int | None) -> int:
    """The number of heads that `--keep` asks for, by the rule of `heads_to_keep`.

    :param total: N, the heads of the model; None: not known yet, and any number will do
    :raises ValueError: neither a number nor a share, or outside 0…`total`.
    """
    try:
        if total is not None:
            return heads_to_keep(text, total)
        asked(text)
    except ValueError as error:
        raise ValueError(f"--{error}") from None
    return 0
