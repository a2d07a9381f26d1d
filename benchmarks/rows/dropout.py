"""A training step with dropout, of the sizes of `quick`, of this library and of stock fairseq."""

from __future__ import annotations

import synthetic

from rows.base import Line, Settings, lines, take_turns
from rows.step import GATES, steps

DROPOUT = 0.1
KINDS = {
    "stock": synthetic.STOCK,
    "ungated": synthetic.OURS,
    "dsp, joint": (*synthetic.OURS, "--gate-method", "dsp", *GATES),
    "dsp, pipelined": (*synthetic.OURS, "--gate-method", "dsp", *GATES, "--gate-pipelined"),
}


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, settings.seed)
    calls = {
        kind: steps(synthetic.arguments(*argv, dropout=DROPOUT), words, batches, settings.seed)
        for kind, argv in KINDS.items()
    }
    times = take_turns(calls, settings.rounds, warmup=3)
    return lines("dropout", times, "stock", notes={"stock": f"dropout {DROPOUT}"})
