"""The benchmark times the same computations: single updates of the size of `quick` against stock fairseq's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import synthetic
import torch

from headprune.models import native

UPDATES = 5


def resume(trainer: Any, from_other: Any) -> None:
    """Weights and moments of another trainer, in groups of its own."""
    trainer.model.load_state_dict(from_other.model.state_dict())
    state = copy.deepcopy(from_other.optimizer.state_dict()["state"])
    if state:
        groups = trainer.optimizer.state_dict()["param_groups"]
        trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_fast_update_is_stock_fairseqs_within_1e_5(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight, at the peak rate of 0.004, from the same state at every update, with the same draws of dropout.

    Key biases within 2e-5: their true derivative is 0, since they add the same to all scores of a query, so that Adam
    moves them by what rounding leaves.
    """
    monkeypatch.setattr(native.dropout, "available", lambda x: False)
    words = synthetic.dictionary()
    kinds = (synthetic.STOCK, synthetic.OURS)
    arguments = [[*synthetic.arguments(*kind, dropout=dropout), "--warmup-updates", "1"] for kind in kinds]
    stock, fast = (synthetic.trainer(argv, words, seed=1) for argv in arguments)
    assert fast.model.lean
    assert fast.optimizer.fused
    for batch in synthetic.batches(words, UPDATES, seed=1):
        resume(fast, stock)
        for trainer in (stock, fast):
            trainer.train_step([batch])
        for (name, one), other in zip(stock.model.named_parameters(), fast.model.parameters(), strict=True):
            bound = 2e-5 if name.endswith("k_proj.bias") else 1e-5
            torch.testing.assert_close(other, one, rtol=0, atol=bound, msg=lambda text, name=name: f"{name}: {text}")
    assert stock.get_lr() == pytest.approx(0.004, rel=0.01)
