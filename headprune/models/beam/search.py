"""The fast way: beam search of a Transformer with fewer and larger operations.

The hypotheses are those of fairseq's `SequenceGenerator`, found by the same rules: a hypothesis ends where the end of
the sentence is among the `beam` best of 2 · beam candidates; a sentence is done with `beam` hypotheses or at its
longest length, where all end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from headprune.models.beam.base import BeamRules, Hypothesis
from headprune.models.beam.candidates import best, continued, forbid
from headprune.models.beam.chart import Chart
from headprune.models.beam.decoder import StepDecoder
from headprune.models.beam.memory import SourceMemory, TargetMemory

ROWS = 640  # hypotheses read side by side on a CPU: more are no faster, and take more memory


class FastBeamSearch:
    """Beam search with a model that `unsupported` has nothing against.

    :raises ValueError: when called, rules that no hypothesis can keep; a model whose outputs are not finite.
    """

    def __init__(self, model: Any, rules: BeamRules) -> None:
        model.eval()
        self.model, self.rules = model, rules
        self.padding, self.end = model.decoder.dictionary.pad(), model.decoder.dictionary.eos()
        with torch.no_grad():
            self.decoder = StepDecoder.of(model)

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any]) -> list[list[Hypothesis]]:
        tokens = batch["net_input"]["src_tokens"]
        longest = self.rules.longest(tokens.shape[1], self.model.max_decoder_positions())
        positions = self.decoder.positions(longest + 1)
        found: list[list[Hypothesis]] = [[] for _ in range(len(tokens))]
        for tile in self._tiles(tokens):
            hypotheses = self._searched(self._trimmed(tokens[tile]), longest, positions)
            for number, own in zip(tile.tolist(), hypotheses, strict=True):
                found[number] = own
        return found

    def _tiles(self, tokens: Tensor) -> Iterator[Tensor]:
        """Numbers of sentences that are read side by side, of similar lengths; on a GPU all of them."""
        order = tokens.ne(self.padding).sum(1).argsort(stable=True)
        size = ROWS // self.rules.beam if tokens.device.type == "cpu" else len(tokens)
        yield from order.split(max(1, size))

    def _trimmed(self, tokens: Tensor) -> Tensor:
        """The same without columns that are padding only."""
        return tokens[:, tokens.ne(self.padding).any(0)]

    def _searched(self, tokens: Tensor, longest: int, positions: Tensor | None) -> list[list[Hypothesis]]:
        """:param tokens: (sentences, source)"""
        beam, chart = self.rules.beam, Chart(len(tokens))
        source, target = self.decoder.sources(tokens)
        sentences = torch.arange(len(tokens), device=tokens.device)
        words, ended = tokens.new_full((len(tokens), 1), self.end), torch.zeros_like(sentences)
        totals = target.mask.new_zeros(len(tokens), 1)
        for step in range(longest + 1):
            scores = self.decoder.step(words, None if positions is None else positions[step], source, target)
            forbid(scores, self.padding, self.end, step < self.rules.min_len, step == longest)
            candidates = best(scores, totals, 2 * beam)
            _require_finite(math.isfinite(float(candidates.scores[:, 0].sum())))
            ends = candidates.words.eq(self.end) & candidates.scores.isfinite()
            some = bool(ends.any())
            if some:
                ending = ends[:, :beam] & (ended.unsqueeze(1) + ends[:, :beam].cumsum(1) <= beam)
                chart.end(sentences, candidates, ending, self.rules.length_penalty)
                ended = ended + ending.sum(1)
            if step == longest:
                break
            following = continued(candidates, ends if some else None, beam)
            if some and bool((done := ended >= beam).any()):
                kept = _close(done, source, target)
                if not len(kept):
                    break
                sentences, ended, following = sentences[kept], ended[kept], following.of(kept)
            chart.steps.append((sentences, following))
            words, totals = following.words, following.scores
            target.descend(following.parents)
        return chart.hypotheses(self.end)


def _close(done: Tensor, source: SourceMemory, target: TargetMemory) -> Tensor:
    """Drops the sentences that are done; the last ones that are not take their places.

    :param done: (sentences,)
    :returns: numbers of the sentences that are left, in the order that they have now
    """
    left = int((~done).sum())
    gaps, movers = done[:left].nonzero()[:, 0], (~done[left:]).nonzero()[:, 0] + left
    source.close(gaps, movers, left)
    target.close(gaps, movers, left)
    return torch.arange(left, device=done.device).index_copy(0, gaps, movers)


def _require_finite(found: bool) -> None:
    if not found:
        raise ValueError("no hypothesis has a score: the model's weights or outputs are not finite")
