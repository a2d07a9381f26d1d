"""The cost of a model: exact counts, and measured time."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq.modules.adaptive_softmax import TiedLinear
from torch import Tensor, nn

from headprune.heads import AttentionPoint, attention_points
from headprune.models.all_attention import standing_still
from headprune.models.beam import BeamRules, SearchKind, beam_search
from headprune.timing import Rounds, Timing, in_turn

# Bands of rare words, and what an encoder predicts masked words with.
LEFT_OUT = re.compile(r"adaptive_softmax\.tail\.|embed_tokens\.embeddings\.[1-9]|^encoder\.lm_head\.")
EMBEDDINGS = (
    "embed_tokens",
    "output_projection",
    "adaptive_softmax",
    "lm_head",
)  # fairseq's names


def parameters(model: nn.Module, embeddings: bool = True) -> int:
    """Number of parameters, shared ones counted once.

    :param embeddings: count the tables of words and positions, and the output layer with its projections, too
    """
    left_out = set()
    if not embeddings:
        tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        tables += [module for name, module in model.named_modules() if name.rpartition(".")[2] in EMBEDDINGS]
        left_out = {id(parameter) for table in tables for parameter in table.parameters()}
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values() if id(p) not in left_out)


def macs(model: Any, source: int, target: int) -> int:
    """Multiply-accumulates of one forward pass over one sentence pair, teacher-forced, exact for matrix products.

    Counted: every linear map, QKᵀ and the weighted sum of values, the output projection. For one self-attention head
    at length n that is 3·n·d·d_h + 2·n²·d_h + n·d_h·d. Not counted: softmax, norms, additions, table look-ups; of
    adaptive inputs and softmaxes all bands but the first, that of the frequent words; of a RoBERTa the layers that
    predict masked words.

    :param source: source length in subwords, end of sentence included
    :param target: target length, likewise; 1 for a label of the whole source
    :raises ValueError: a model with a memory, whose passes are over segments.
    """
    if _has_memory(model):
        raise ValueError(f"{type(model).__name__} reads segments, not sentence pairs: count with `segment_macs`")
    total = 0
    for point in attention_points(model):
        if not point.indices:
            continue
        attention = point.module
        queries = source if point.type == "encoder" else target
        keys = target if point.type == "decoder" else source
        if point.type == "decoder" and _sees_source(model, point):
            keys = source + target
        width = attention.num_heads * attention.head_dim
        total += queries * (attention.q_proj.weight.numel() + attention.out_proj.weight.numel())
        total += keys * (attention.k_proj.weight.numel() + attention.v_proj.weight.numel())
        total += 2 * queries * keys * width
    attended = tuple(f"{point.path}." for point in attention_points(model))
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, TiedLinear)) and not name.startswith(attended) and not LEFT_OUT.search(name):
            total += (source if name.startswith("encoder.") else target) * module.weight.numel()
    return total


def _has_memory(model: Any) -> bool:
    return hasattr(getattr(model, "cfg", None), "memory_length")


def _sees_source(model: nn.Module, point: AttentionPoint) -> bool:
    """Return whether the encoder's output is among the keys of self-attention (fairseq's `cross_self_attention`)."""
    return bool(getattr(model.get_submodule(point.path.rpartition(".")[0]), "cross_self_attention", False))


def segment_macs(model: Any, tokens: int, cached: bool = False, output: bool = True) -> int:
    """Multiply-accumulates of an All-Attention or Transformer-XL language model for one row of a segment.

    Counted as Shim et al. do, for whole matrices of scores over the S = memory + tokens keys, masked or not:

        h·(2·d·d_h·T + 2·S·d·d_h + 3·S·T·d_h + 2·N·T·d_h) + 2·d·F·T    for each layer with h heads

    Not counted: W_R ρ, which depends on weights alone; softmax, norms, additions, table look-ups; the tails of an
    adaptive softmax, which few words need.

    :param tokens: T, the length of the segment
    :param cached: keys and values of the memory are not computed again, as in evaluation and generation
    :param output: count the output layer, too
    :raises ValueError: a model without a memory.
    """
    if not _has_memory(model):
        raise ValueError(f"{type(model).__name__} has no memory of segments: count with `macs`")
    total, src = 0, tokens + model.cfg.memory_length
    for point in attention_points(model):
        if point.indices:
            attention = point.module
            total += tokens * (attention.q_proj.weight.numel() + attention.out_proj.weight.numel())
            total += (tokens if cached else src) * (attention.k_proj.weight.numel() + attention.v_proj.weight.numel())
            total += 3 * src * tokens * attention.num_heads * attention.head_dim
            total += tokens * (attention.persistent_keys.numel() + attention.persistent_values.numel())
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ".feed_forward." in name:
            total += tokens * module.weight.numel()
    return total + (tokens * _output_weights(model.decoder) if output else 0)


def example_macs(model: Any, source: int, target: int) -> int:
    """Multiply-accumulates of one forward pass over one example: `macs`, or of a model with a memory `segment_macs`.

    :param source: length of the source; no matter to a model with a memory
    :param target: length of the target, or of the segment
    """
    return segment_macs(model, target) if _has_memory(model) else macs(model, source, target)


def _output_weights(decoder: Any) -> int:
    """Weights of the output layer that every token meets."""
    if decoder.adaptive_softmax is None:
        return int(decoder.output_projection.weight.numel())
    head = decoder.adaptive_softmax.head.modules()
    return sum(module.weight.numel() for module in head if isinstance(module, (nn.Linear, TiedLinear)))


def measure(
    models: Mapping[str, nn.Module],
    task: Any,
    singles: Sequence[Mapping[str, Any]],
    batch: Mapping[str, Any],
    beam: int,
    rounds: Rounds,
    kind: SearchKind = "fast",
) -> dict[str, tuple[Timing, Timing]]:
    """Latency and throughput of beam search, each model in pairs with the first (`headprune.timing`).

    Every hypothesis is as long as its reference: a model that stops early or babbles is neither faster nor slower for
    it, and the figures compare architectures.

    :param singles: batches of one sentence each, for latency
    :param batch: one batch, for throughput
    :param kind: the search that evaluation uses, too
    :returns: by model, milliseconds per sentence at batch size 1, and target tokens per second
    """
    tokens = int(batch["ntokens"])

    def run(model: Any) -> tuple[float, float]:
        single = sum(_seconds(model, task, one, beam, kind) for one in singles) / len(singles)
        return 1000 * single, tokens / _seconds(model, task, batch, beam, kind)

    return in_turn(models, run, rounds)


def measure_passes(
    models: Mapping[str, Any], singles: Sequence[Mapping[str, Any]], batch: Mapping[str, Any], rounds: Rounds
) -> dict[str, tuple[Timing, Timing]]:
    """Latency and throughput of forward passes, each model in pairs with the first (`headprune.timing`).

    :param singles: batches of one example each, for latency
    :param batch: one batch, for throughput
    :returns: by model, milliseconds per example at batch size 1, and target tokens per second
    """
    tokens, inputs = int(batch["ntokens"]), [single["net_input"] for single in singles]

    def run(model: Any) -> tuple[float, float]:
        latency = 1000 * reading_seconds(model, inputs) / len(inputs)
        return latency, tokens / reading_seconds(model, [batch["net_input"]])

    return in_turn(models, run, rounds)


def measure_streams(
    models: Mapping[str, Any], tokens: Tensor, batch: Sequence[Mapping[str, Any]], rounds: Rounds
) -> dict[str, tuple[Timing, Timing]]:
    """Latency and throughput of language models with a memory, each in pairs with the first (`headprune.timing`).

    :param tokens: one row, read token by token as in generation, for latency [1, tgt]
    :param batch: mini-batches to read one after the other, for throughput
    :returns: by model, milliseconds per token at one row, and tokens per second
    """
    size = sum(int(segment["ntokens"]) for segment in batch)
    steps = [{"src_tokens": tokens[:, i : i + 1], "start": i == 0} for i in range(tokens.shape[1])]
    segments = [segment["net_input"] for segment in batch]

    def run(model: Any) -> tuple[float, float]:
        return 1000 * reading_seconds(model, steps) / len(steps), size / reading_seconds(model, segments)

    with standing_still(*models.values()):
        return in_turn(models, run, rounds)


def reading_seconds(model: Any, inputs: Sequence[Mapping[str, Any]]) -> float:
    """Seconds for some forward passes, one after the other."""
    model.eval()
    _wait()
    start = time.perf_counter()
    with torch.no_grad():
        for each in inputs:
            model(**each)
    _wait()
    return time.perf_counter() - start


def _seconds(model: nn.Module, task: Any, batch: Mapping[str, Any], beam: int, kind: SearchKind) -> float:
    length = batch["target"].shape[1]
    search = beam_search(model, task, BeamRules(beam, max_len_b=length - 1, min_len=length - 1), kind)
    _wait()
    start = time.perf_counter()
    search(batch)
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
