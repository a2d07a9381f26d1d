"""Beam search with beam 5: stock fairseq's generator, by batch size, and ours; then ours with pruned models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import synthetic
from interleaved import Quartiles

from headprune.cost import macs
from headprune.models.beam import BeamRules, BeamSearch, SearchKind, beam_search
from rows.base import Line, Settings, lines, take_turns
from rows.breakdown import shares
from rows.evaluation import pruned_models

SENTENCES, MAX_TOKENS = 200, (4000, 2000, 500)
BEAM, SOURCE, TARGET = 5, 20, 18  # lengths: the mean ones
RULES = BeamRules(BEAM, max_len_a=1.2, max_len_b=10)
FIXED = BeamRules(BEAM, max_len_b=TARGET - 1, min_len=TARGET - 1)
FASTER, OF_IDEAL = 1.8, 0.7  # what is aimed at: times as fast as stock; the share of the ideal speed-up
PARTS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "attention": ("attention_for_cpu", "aten::bmm", "aten::baddbmm", "aten::_softmax", "masked_fill"),
    "probabilities and the best of them": ("log_softmax", "aten::topk", "aten::amax", "aten::sort"),
    "layer norms": ("native_layer_norm",),
    "copies and reordering": ("aten::copy_", "aten::fill_", "aten::cat", "aten::index", "aten::gather", "embedding"),
    "element-wise": ("aten::add", "aten::mul", "aten::sub", "aten::div", "clamp", "relu", "aten::ne", "aten::eq"),
}


def translation(search: BeamSearch, batches: list[Any]) -> Callable[[], None]:
    """Translates all batches."""

    def run() -> None:
        for batch in batches:
            search(batch)

    return run


def search_macs(model: Any) -> int:
    """Multiply-accumulates of a search: the source's once, the target's for every hypothesis of the beam."""
    once = macs(model, SOURCE, 0)
    return once + BEAM * (macs(model, SOURCE, TARGET) - once)


def ideal(models: Mapping[str, Any]) -> dict[str, float]:
    """Multiply-accumulates of a search over those with the unpruned model."""
    return {what: search_macs(model) / search_macs(models["unpruned"]) for what, model in models.items()}


def profiled(what: str, call: Callable[[], None]) -> Line:
    """The parts that take the time of a search."""
    seconds, parts = shares(call, 2, PARTS)
    once = Quartiles.of([seconds])
    told = ", ".join(f"{part} {share:.0%}" for part, share in parts.items())
    return Line("beam, fixed lengths", f"{what}, under the profiler", once, once, note=told)


def measure(settings: Settings) -> list[Line]:
    """The same sentences in all. An untrained model writes to the longest length that it may, in the first half; in
    the second all write `TARGET` subwords, end of sentence included."""
    words = synthetic.dictionary()
    task = synthetic.trainer(synthetic.arguments(*synthetic.OURS), words, settings.seed).task
    models = pruned_models(words, settings.seed)
    batches = {
        size: synthetic.batches(words, None, settings.seed, max_tokens=size, sentences=SENTENCES) for size in MAX_TOKENS
    }
    rounds = max(3, settings.rounds // 5)

    def call(kind: SearchKind, size: int, rules: BeamRules, model: Any = models["unpruned"]) -> Callable[[], None]:
        return translation(beam_search(model, task, rules, kind), batches[size])

    calls = {f"{kind}, {size} tokens": call(kind, size, RULES) for kind in ("fairseq", "fast") for size in MAX_TOKENS}
    times = take_turns(calls, rounds, warmup=1)
    stock = min((what for what in calls if "fairseq" in what), key=lambda what: sum(times[what].processor))
    notes = dict.fromkeys(calls, f"{SENTENCES} sentences in batches of at most so many")
    found = lines("beam", times, stock, {what: 1 / FASTER for what in calls if "fast" in what}, notes)
    shares = ideal(models)
    calls = {what: call("fast", MAX_TOKENS[0], FIXED, model) for what, model in models.items()}
    calls |= {f"{what}, fairseq": call("fairseq", MAX_TOKENS[0], FIXED, model) for what, model in models.items()}
    notes = {what: f"{TARGET} subwords each, ideal ratio {share:.2f}" for what, share in shares.items()}
    targets = {what: share / OF_IDEAL for what, share in shares.items()}
    found += lines("beam, fixed lengths", take_turns(calls, rounds, warmup=1), "unpruned", targets, notes)
    return found + [profiled(what, calls[what]) for what in ("unpruned, fairseq", "unpruned", "90% removed")]
