"""Heads, head spaces, masks and budgets. Knows nothing of fairseq, nothing of training.

A *head space* is the ordered list of a model's heads: encoder modules first, then cross, then decoder, each by
layer, each by head index. A *mask* is one zero or one for every head of a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TYPES = ("encoder", "cross", "decoder")


@dataclass(frozen=True, order=True)
class Head:
    """One attention head; its name is `type.layer.index`, counted from 0 (`cross.2.1`)."""

    type: str
    layer: int
    index: int

    @property
    def name(self) -> str:
        """Name of the head, `type.layer.index`."""
        return f"{self.type}.{self.layer}.{self.index}"

    @property
    def module(self) -> str:
        """Name of the attention module the head belongs to, `type.layer`."""
        return f"{self.type}.{self.layer}"


@dataclass(frozen=True)
class AttentionPoint:
    """One attention module of a model, with the place it has in the head space."""

    type: str
    layer: int
    path: str  # qualified name inside the model
    module: Any
    indices: tuple[int, ...]  # the heads it still has, by their index in the unpruned module

    @property
    def name(self) -> str:
        """Name of the module, `type.layer`."""
        return f"{self.type}.{self.layer}"


def attention_points(model: Any) -> list[AttentionPoint]:
    """The attention modules of `model` in head-space order.

    An attention module is any submodule with `num_heads` and `out_proj` (fairseq's MultiheadAttention), or an emptied
    one (`head_indices == ()`). `encoder_attn` is cross-attention; otherwise a path through `decoder` is decoder
    self-attention and everything else encoder self-attention. A pruned module remembers the indices of its surviving
    heads in `head_indices`.
    """
    points = []
    for path, module in model.named_modules():
        indices = getattr(module, "head_indices", None)
        if indices is None:
            if not (hasattr(module, "num_heads") and hasattr(module, "out_proj")):
                continue
            indices = range(module.num_heads)
        parts = path.split(".")
        kind = "cross" if parts[-1] == "encoder_attn" else "decoder" if "decoder" in parts else "encoder"
        numbers = [int(part) for part in parts if part.isdigit()]
        points.append(AttentionPoint(kind, numbers[-1] if numbers else 0, path, module, tuple(indices)))
    return sorted(points, key=lambda point: (TYPES.index(point.type), point.layer))


@dataclass(frozen=True)
class HeadSpace:
    """The ordered heads of a model, module-major. Two spaces are equal when their heads are."""

    heads: tuple[Head, ...]

    def __post_init__(self) -> None:
        if len(set(self.heads)) != len(self.heads):
            raise ValueError("a head space names every head once; some heads are repeated")

    @classmethod
    def of(cls, model: Any) -> HeadSpace:
        """The head space of `model`; of a pruned model, the heads that are left, under their original names.

        :raises ValueError: the model has no attention module.
        """
        points = attention_points(model)
        if not points:
            raise ValueError(f"{type(model).__name__} has no attention module with `num_heads` and `out_proj`")
        return cls(tuple(Head(p.type, p.layer, i) for p in points for i in p.indices))

    @classmethod
    def prunable(cls, model: Any) -> HeadSpace:
        """The head space of a model whose heads are to be judged, as `of` gives it.

        :raises ValueError: the model has no attention module, or none with a head.
        """
        space = cls.of(model)
        if not len(space):
            raise ValueError(f"{type(model).__name__} has no heads left in its attention modules: nothing to judge")
        return space

    @classmethod
    def from_names(cls, names: Iterable[str]) -> HeadSpace:
        """The space whose heads have these names, in this order."""
        heads = []
        for name in names:
            match = re.fullmatch(r"(encoder|cross|decoder)\.(\d+)\.(\d+)", name)
            if not match:
                raise ValueError(f"head name {name!r} is not `type.layer.head` with a type of {TYPES}")
            heads.append(Head(match[1], int(match[2]), int(match[3])))
        return cls(tuple(heads))

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Head]:
        return iter(self.heads)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the heads (`encoder.0.3`, …), in order."""
        return tuple(head.name for head in self.heads)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules (`encoder.0`, …), in order."""
        return tuple(dict.fromkeys(head.module for head in self.heads))

    @property
    def module_of(self) -> tuple[int, ...]:
        """The position in `modules` of every head's module."""
        position = {name: i for i, name in enumerate(self.modules)}
        return tuple(position[head.module] for head in self.heads)

    @property
    def full(self) -> HeadMask:
        """The mask that keeps every head."""
        return HeadMask(self, (1,) * len(self))

    def keep(self, positions: Iterable[int]) -> HeadMask:
        """The mask that keeps the heads at these positions of the space."""
        kept = set(positions)
        if not kept <= set(range(len(self))):
            raise ValueError(f"positions {sorted(kept)} are not all within 0…{len(self) - 1}")
        return HeadMask(self, tuple(int(i in kept) for i in range(len(self))))

    def drop_one(self) -> list[HeadMask]:
        """One mask for each head, which removes it and nothing else."""
        everything = set(range(len(self)))
        return [self.keep(everything - {position}) for position in range(len(self))]

    def keep_one(self) -> list[HeadMask]:
        """One mask for each head, which removes the others of its module and nothing else."""
        modules = self.module_of
        elsewhere = {own: {i for i, module in enumerate(modules) if module != own} for own in set(modules)}
        return [self.keep(elsewhere[module] | {position}) for position, module in enumerate(modules)]


@dataclass(frozen=True, init=False)
class HeadMask:
    """Zeros and ones over a head space: 1 keeps the head.

    :raises ValueError: a value other than 0 and 1, or a length other than that of the space.
    """

    space: HeadSpace
    keep: tuple[int, ...]

    def __init__(self, space: HeadSpace, keep: Sequence[Any] | Any) -> None:
        values = keep.tolist() if hasattr(keep, "tolist") else list(keep)
        if len(values) != len(space):
            raise ValueError(f"a mask over {len(space)} heads needs {len(space)} values, got {len(values)}")
        bad = [value for value in values if isinstance(value, (list, str)) or value not in (0, 1)]
        if bad:
            raise ValueError(f"a head mask holds zeros and ones only, got {bad[0]!r}")
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "keep", tuple(int(value) for value in values))

    @property
    def count(self) -> int:
        """Number of heads that are kept."""
        return sum(self.keep)

    def names(self) -> tuple[str, ...]:
        """Names of the kept heads."""
        return tuple(head.name for head, kept in zip(self.space, self.keep, strict=True) if kept)

    def per_module(self) -> dict[str, int]:
        """Heads kept in every module of the space, emptied modules included."""
        counts = dict.fromkeys(self.space.modules, 0)
        for head, kept in zip(self.space, self.keep, strict=True):
            counts[head.module] += kept
        return counts

    def kept_indices(self) -> dict[str, tuple[int, ...]]:
        """The indices of the kept heads of every module, by its name."""
        kept: dict[str, list[int]] = {name: [] for name in self.space.modules}
        for head, keep in zip(self.space, self.keep, strict=True):
            if keep:
                kept[head.module].append(head.index)
        return {name: tuple(indices) for name, indices in kept.items()}


@dataclass(frozen=True)
class Budget:
    """The number of heads of a model that are kept.

    :raises ValueError: `kept` outside 0…`total`.
    """

    kept: int
    total: int

    def __post_init__(self) -> None:
        if isinstance(self.kept, bool) or not isinstance(self.kept, int):
            raise ValueError(f"a budget is a whole number of heads, got {self.kept!r}")
        if not 0 <= self.kept <= self.total:
            raise ValueError(f"budget {self.kept} is outside 0…{self.total}, the heads of the model")


@dataclass(frozen=True)
class Scope:
    """The heads that may be removed: those of some attention types, and never the last `min_per_module` of a module.

    :raises ValueError: an unknown type, none at all, or a negative minimum.
    """

    types: tuple[str, ...] = TYPES
    min_per_module: int = 0

    def __post_init__(self) -> None:
        bad = [name for name in self.types if name not in TYPES]
        if bad or not self.types:
            raise ValueError(f"types are {', '.join(TYPES)}; got {', '.join(map(repr, bad)) or 'none'}")
        if self.min_per_module < 0:
            raise ValueError(f"min_per_module is {self.min_per_module}; it must not be negative")

    def candidates(self, space: HeadSpace) -> tuple[int, ...]:
        """Positions of the heads whose type allows removal."""
        return tuple(i for i, head in enumerate(space) if head.type in self.types)

    def subspace(self, space: HeadSpace) -> HeadSpace:
        """The heads whose type allows removal, as a space of their own."""
        return HeadSpace(tuple(space.heads[i] for i in self.candidates(space)))

    def smallest(self, space: HeadSpace) -> int:
        """The smallest budget that the scope allows."""
        return len(space) - len(self.order(space, range(len(space))))

    def order(self, space: HeadSpace, removal: Iterable[int], kept: Iterable[int] | None = None) -> tuple[int, ...]:
        """The heads of an order of removal that may go when they are taken in this order.

        :param removal: positions in the space, the first to go first
        :param kept: positions of the heads that are left before; None: all
        """
        candidates, module = set(self.candidates(space)), space.module_of
        left = [0] * len(space.modules)
        for head in range(len(space)) if kept is None else kept:
            left[module[head]] += 1
        gone = []
        for head in removal:
            if head in candidates and left[module[head]] > self.min_per_module:
                left[module[head]] -= 1
                gone.append(head)
        return tuple(gone)

    def embed(self, mask: HeadMask, space: HeadSpace) -> HeadMask:
        """A mask over `subspace(space)` as one over `space`, which keeps all other heads."""
        kept, gated = set(mask.names()), set(mask.space.heads)
        return HeadMask(space, [int(head not in gated or head.name in kept) for head in space])

    def allows(self, mask: HeadMask) -> bool:
        """Return whether a mask removes nothing that the scope protects."""
        removed = [i for i, keep in enumerate(mask.keep) if not keep]
        return len(self.order(mask.space, removed)) == len(removed)
