"""A corpus as one stream of tokens, cut into rows that are read segment by segment (truncated back-propagation
through time; docs/theory/language-model-training.md#rows).

Of N tokens w_1 … w_N every one is a target, and the input at w_i is w_{i-1}; w_0 is the end of a line. The targets
are dealt to the rows of all workers as contiguous runs, and segment i of a row holds its targets i·T … (i+1)·T − 1,
so targets cross the borders of segments and nothing is padded:

    worker 0, row 0:  w_1     … w_n          segments of T targets, the last one perhaps shorter
    worker 0, row 1:  w_{n+1} … w_{2n}
    worker 1, row 0:  …
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset, ListDataset
from torch import Tensor


def numbered(lines: Iterable[str], dictionary: Any) -> ListDataset:
    """Lines of space-separated pieces as token ids, each with the end of the line, as fairseq binarises them.

    :returns: a dataset of (tokens,) for every line, with their `sizes`
    """
    found = [dictionary.encode_line(line, add_if_not_exist=False).long() for line in lines]
    return ListDataset(found, np.array([len(line) for line in found]))


class TokenStream(FairseqDataset):
    """The tokens of a split. Which rows and segments they make is decided by whoever asks for batches.

    :param lines: token ids of every line, with the end of the line
    :param line_end: id of the symbol that ends a line
    :param pad: id of the padding symbol
    :param training: whether the rows may be rolled, and must be of equal length
    """

    def __init__(self, lines: Any, line_end: int, pad: int, training: bool = False) -> None:
        super().__init__()
        self.line_end, self.pad, self.training = line_end, pad, training
        # w_0 … w_N
        self.tokens = torch.empty(int(lines.sizes.sum()) + 1, dtype=torch.int32)
        self.tokens[0] = line_end
        end = 1
        for number in range(len(lines)):
            line = lines[number]
            self.tokens[end : end + len(line)] = line
            end += len(line)

    def __len__(self) -> int:
        """Targets, N."""
        return len(self.tokens) - 1


class Segments(torch.utils.data.Dataset):
    """The segments of one worker's rows: item i is a whole mini-batch, the i-th segment of every row.

    :param rows: B, rows of this worker
    :param length: T, targets of a segment
    :param shard: number of this worker, of `shards`
    :param drop_remainder: leave out the last N mod (rows · shards) targets, so that all rows are equally long; else
        the first rows have one target more and the other rows end in a padding symbol
    :param roll_seed: shift every row circularly by a random offset of its own, anew in every epoch; None: never
    :raises ValueError: fewer targets than rows, a number below 1, or rolled rows of unequal length.
    """

    def __init__(
        self,
        stream: TokenStream,
        rows: int,
        length: int,
        shard: int = 0,
        shards: int = 1,
        drop_remainder: bool = True,
        roll_seed: int | None = None,
    ) -> None:
        if rows < 1 or length < 1 or not 0 <= shard < shards:
            raise ValueError(f"{rows} rows, segments of {length}, worker {shard} of {shards}: at least 1 of each")
        self.stream, self.rows, self.length = stream, rows, length
        self.all_rows = rows * shards
        shortest, remainder = divmod(len(stream), self.all_rows)
        if shortest == 0:
            raise ValueError(f"{len(stream)} tokens do not fill {self.all_rows} rows ({rows} for each of {shards})")
        number = torch.arange(shard * rows, (shard + 1) * rows)
        self._mine = number
        if drop_remainder:
            self.columns, self.dropped = shortest, remainder
            self._starts, self._ends = number * shortest, (number + 1) * shortest
        else:
            self.columns, self.dropped = shortest + (remainder > 0), 0
            self._starts, self._ends = (k * shortest + k.clamp(max=remainder) for k in (number, number + 1))
        if roll_seed is not None and not drop_remainder and remainder:
            raise ValueError("rows of unequal length cannot be rolled: drop the remainder")
        self._roll_seed = roll_seed
        self._offsets = torch.zeros(rows, dtype=torch.long)
        self.set_epoch(1)

    def __len__(self) -> int:
        return -(-self.columns // self.length)

    def set_epoch(self, epoch: int) -> None:
        """Rolls every row by the sum of the offsets of the epochs up to this one, which the seed determines."""
        if self._roll_seed is None:
            return
        generator = torch.Generator().manual_seed(self._roll_seed)
        offsets = torch.randint(self.columns, (max(epoch, 1), self.all_rows), generator=generator)
        self._offsets = offsets.sum(0)[self._mine] % self.columns

    def positions(self, index: int) -> Tensor:
        """Places in the corpus, from 0, of the targets of a segment (rows, tgt); −1 where a row has ended before."""
        columns = torch.arange(index * self.length, min((index + 1) * self.length, self.columns))
        positions = self._starts.unsqueeze(1) + (columns + self._offsets.unsqueeze(1)) % self.columns
        return positions.masked_fill(positions >= self._ends.unsqueeze(1), -1)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A mini-batch as fairseq has it; `start` tells the model to begin with an empty memory.

        :raises IndexError: there is no such segment.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"segment {index} of {len(self)}")
        return windows(self.stream, self.positions(index), start=index == 0, first=index * self.rows)


def windows(stream: TokenStream, positions: Tensor, start: bool, first: int = 0) -> dict[str, Any]:
    """A mini-batch of the targets at these places of the corpus, each with the token before it as the input.

    :param positions: (rows, tgt); −1: padding
    :param first: identifier of the first row
    """
    past_the_end = positions < 0
    inputs, target = (
        stream.tokens[positions.clamp(min=0) + shift].long().masked_fill(past_the_end, stream.pad) for shift in (0, 1)
    )
    return {
        "id": torch.arange(first, first + len(positions)),
        "nsentences": len(positions),
        "ntokens": int(positions.numel() - past_the_end.sum()),
        "net_input": {"src_tokens": inputs, "start": start},
        "target": target,
    }
