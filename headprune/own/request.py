"""A call of `headprune prune`, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from headprune.heads import Budget
from headprune.method import Entry, load_methods
from headprune.naming import unknown
from headprune.settings import Calibration, Evaluation

# fairseq-generate's own lengths, so that hypotheses are those that its users know
AS_GENERATE = Evaluation(max_len_a=0, max_len_b=200)


@dataclass(frozen=True)
class PruningRequest:
    """All that the result depends on, and where it goes.

    :param keep: numbers of heads, or percentages of them, as the command line has them
    :param options: of the method
    :param bpe: subwords of the target, `auto` for what its dictionary shows
    :param references: file of raw target sentences of the valid split; None: the tokens are the references
    :param gpt2: folder with the files of GPT-2's pieces
    :param sentences: of the valid split that are translated; None: all
    :param speed: whether times are measured, each pruned model in pairs with the unpruned one
    """

    checkpoint: Path
    data: Path
    method: str
    keep: tuple[str, ...]
    out: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    bpe: str = "auto"
    tokenizer: str = "none"
    references: Path | None = None
    gpt2: Path | None = None
    sentences: int | None = None
    seed: int = 1
    speed: bool = False
    calibration: Calibration = Calibration()  # noqa: RUF009, frozen
    evaluation: Evaluation = AS_GENERATE

    def entry(self) -> Entry:
        """The method.

        :raises ValueError: an unknown one, one that learns while a model trains, or one with unknown options.
        """
        known = load_methods()
        if self.method not in known:
            raise ValueError(unknown("method", self.method, known))
        found = known[self.method]
        if found.kind != "score":
            able = ", ".join(sorted(name for name, each in known.items() if each.kind == "score"))
            raise ValueError(
                f"method {self.method!r} learns its gates in a training, and this command trains nothing; "
                f"methods that judge the heads of a trained model: {able}"
            )
        found.options(self.options)
        return found


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


def budget_of(text: str, total: int) -> int:
    """The number of heads that `--keep` asks for: a number, or a percentage of `total`, rounded.

    :raises ValueError: neither of them, or outside 0…`total`.
    """
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) if share else int(text)
    except ValueError:
        raise ValueError(f"--keep {text!r}: it is a number of heads, 0…{total}, or a percentage, 50%") from None
    if share and not 0 <= value <= 100:
        raise ValueError(f"--keep {text!r}: a percentage is 0%…100%")
    return Budget(round(total * value / 100) if share else int(value), total).kept
