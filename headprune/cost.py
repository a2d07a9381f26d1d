"""What a model costs: exact counts, and measured time."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from headprune.heads import attention_points


def parameters(model: nn.Module, embeddings: bool = True) -> int:
    """Number of parameters, shared ones counted once.

    :param embeddings: count the embedding tables and the output projection, too
    """
    left_out = set()
    if not embeddings:
        tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        tables += [m for n, m in model.named_modules() if n.endswith("output_projection")]
        left_out = {id(parameter) for table in tables for parameter in table.parameters()}
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values() if id(p) not in left_out)


def macs(model: Any, source: int, target: int) -> int:
    """Multiply-accumulates of one forward pass over one sentence pair, teacher-forced, exact for matrix products.

    Counted: every linear map, QKᵀ and the weighted sum of values, the output projection. For one self-attention head
    at length n that is 3·n·d·d_h + 2·n²·d_h + n·d_h·d. Not counted: softmax, norms, additions, table look-ups.

    :param source: source length in subwords, end of sentence included
    :param target: target length, likewise
    """
    total = 0
    for point in attention_points(model):
        if not point.indices:
            continue
        attention = point.module
        queries = source if point.type == "encoder" else target
        keys = target if point.type == "decoder" else source
        width = attention.num_heads * attention.head_dim
        total += queries * (attention.q_proj.weight.numel() + attention.out_proj.weight.numel())
        total += keys * (attention.k_proj.weight.numel() + attention.v_proj.weight.numel())
        total += 2 * queries * keys * width
    attended = tuple(f"{point.path}." for point in attention_points(model))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and not name.startswith(attended):
            total += (source if name.startswith("encoder.") else target) * module.weight.numel()
    return total


@dataclass(frozen=True)
class Timing:
    """Median and quartiles over rounds."""

    median: float
    q25: float
    q75: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Timing:
        q25, median, q75 = np.quantile(np.asarray(values), (0.25, 0.5, 0.75))
        return cls(float(median), float(q25), float(q75))


def measure(
    models: Mapping[str, nn.Module],
    task: Any,
    singles: Sequence[Mapping[str, Any]],
    batch: Mapping[str, Any],
    beam: int,
    repeats: int,
) -> dict[str, tuple[Timing, Timing]]:
    """Latency and throughput of beam search, the models in turn in every round, so that drift hits all alike.

    Every hypothesis is as long as its reference: a model that stops early or babbles is neither faster nor slower for
    it, and the figures compare architectures.

    :param singles: batches of one sentence each, for latency
    :param batch: one batch, for throughput
    :returns: by model, milliseconds per sentence at batch size 1, and target tokens per second
    """
    tokens = int(batch["ntokens"])
    latency: dict[str, list[float]] = {name: [] for name in models}
    throughput: dict[str, list[float]] = {name: [] for name in models}
    for round_number in range(repeats + 1):
        for name, model in models.items():
            single = sum(_seconds(model, task, one, beam) for one in singles) / len(singles)
            whole = _seconds(model, task, batch, beam)
            if round_number:  # the first round warms up
                latency[name].append(1000 * single)
                throughput[name].append(tokens / whole)
    return {name: (Timing.of(latency[name]), Timing.of(throughput[name])) for name in models}


def _seconds(model: nn.Module, task: Any, batch: Mapping[str, Any], beam: int) -> float:
    length = batch["target"].shape[1]
    settings = Namespace(beam=beam, max_len_a=0, max_len_b=length - 1, min_len=length - 1)
    generator = task.build_generator([model], settings)
    _wait()
    start = time.perf_counter()
    try:
        with torch.no_grad():
            task.inference_step(generator, [model], batch)
        _wait()
        return time.perf_counter() - start
    finally:
        generator.model.set_decoder_beam_size(1)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
