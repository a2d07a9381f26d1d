"""The hyper-parameters of an All-Attention language model.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

from argparse import Namespace
from dataclasses import dataclass, field, fields
from typing import Any

from fairseq.dataclass import FairseqDataclass

INITIALISATIONS = ("shim", "sukhbaatar")


@dataclass
class AllAttentionConfig(FairseqDataclass):
    """Defaults are those of Shim et al. 2021 on WikiText-103, but for the vocabulary's cut-offs."""

    layers: int = field(default=16, metadata={"help": "blocks"})
    width: int = field(default=512, metadata={"help": "d, the dimension of the hidden states"})
    heads: int = field(default=8, metadata={"help": "heads of every layer, each width / heads wide"})
    persistent: int = field(default=2048, metadata={"help": "learned key-value pairs of every head"})
    ffn_dim: int = field(
        default=0, metadata={"help": "width of a feed-forward layer; with --persistent 0: a Transformer-XL"}
    )
    memory_length: int = field(default=192, metadata={"help": "M: every position sees M predecessors, and itself"})
    max_relative: int = field(default=512, metadata={"help": "rows of the table of distances; more than the memory"})
    dropout: float = field(default=0.1, metadata={"help": "of what a block adds"})
    attention_dropout: float = field(default=0.2, metadata={"help": "of attention probabilities"})
    input_dropout: float = field(default=0.1, metadata={"help": "of embeddings and of the table of distances"})
    output_dropout: float = field(default=0.1, metadata={"help": "of the last hidden states"})
    word_dropout: float = field(default=0.1, metadata={"help": "of whole rows of the embedding table"})
    adaptive_cutoff: str = field(
        default="", metadata={"help": "bands of adaptive input and softmax, 20000,40000,200000; none: plain ones"}
    )
    adaptive_factor: float = field(default=4.0, metadata={"help": "by how much narrower each band is"})
    share_embeddings: bool = field(default=False, metadata={"help": "tie plain input and output embeddings"})
    final_norm: bool = field(default=False, metadata={"help": "layer norm of the last hidden states"})
    initialisation: str = field(
        default="shim", metadata={"help": "of persistent vectors: shim (uniform) or sukhbaatar (unit after scaling)"}
    )

    @classmethod
    def of(cls, arguments: Namespace) -> "AllAttentionConfig":
        """The fields that `arguments` gives a value, defaults for the others.

        :raises ValueError: see `check`.
        """
        given = {f.name: getattr(arguments, f.name, None) for f in fields(cls)}
        architecture = cls(**{name: value for name, value in given.items() if value is not None})
        architecture.check()
        return architecture

    @property
    def cutoffs(self) -> list[int]:
        return [int(part) for part in self.adaptive_cutoff.split(",")] if self.adaptive_cutoff else []

    def check(self) -> None:
        """:raises ValueError: values that make no model, by name."""
        for name in ("layers", "width", "heads", "max_relative"):
            self._refuse(name, getattr(self, name) < 1, "must be at least 1")
        for name in ("persistent", "ffn_dim", "memory_length"):
            self._refuse(name, getattr(self, name) < 0, "must not be negative")
        for name in ("dropout", "attention_dropout", "input_dropout", "output_dropout", "word_dropout"):
            self._refuse(name, not 0 <= getattr(self, name) < 1, "must be in [0, 1)")
        self._refuse("width", self.width % self.heads != 0, f"must be a multiple of heads, {self.heads}")
        self._refuse(
            "max_relative", self.max_relative <= self.memory_length, f"must exceed memory_length, {self.memory_length}"
        )
        self._refuse(
            "initialisation", self.initialisation not in INITIALISATIONS, f"must be one of {', '.join(INITIALISATIONS)}"
        )
        untied = "must not come with adaptive_cutoff, which ties by itself"
        self._refuse("share_embeddings", self.share_embeddings and bool(self.cutoffs), untied)

    def _refuse(self, name: str, wrong: bool, rule: str) -> None:
        if wrong:
            value: Any = getattr(self, name)
            raise ValueError(f"--{name.replace('_', '-')} is {value!r}; it {rule}")
