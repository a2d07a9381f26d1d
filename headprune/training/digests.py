"""The terms of a training, as digests: the weights it started from, and the examples it read in their order.

Trainings of equal digests had equal terms, whatever method took part in them. The cost is a hash of the weights once,
and of the token ids of every update: together less than a thousandth of a training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from headprune.method.guards import tensor_digest, weights_digest
from headprune.models.gate_training import PREFIX


@dataclass
class Terms:
    """Grows by every update; kept in checkpoints, so that a resumed training ends with those of an undisturbed one.

    :param initial_weights: of the model, without what a gate method adds
    :param data_order: of the token ids of all updates so far; of several workers, those of the first
    """

    initial_weights: str = ""
    data_order: str = ""

    def note(self, trainer: Any, samples: Sequence[Any]) -> None:
        """Notes the batches that fairseq's trainer is about to make an update of."""
        if not self.initial_weights:
            self.initial_weights = model_digest(trainer.get_model())
        total = hashlib.sha256(self.data_order.encode())
        for sample in samples:
            for tensor in _tensors(sample):
                total.update(tensor_digest(tensor).encode())
        self.data_order = total.hexdigest()[:16]


def model_digest(model: nn.Module) -> str:
    """Digest of the weights of a model, without what a gate method adds."""
    return weights_digest({name: value for name, value in model.state_dict().items() if not name.startswith(PREFIX)})


def _tensors(sample: Any) -> Iterator[Tensor]:
    """Inputs and targets; a worker without a batch of its own has none."""
    if isinstance(sample, Mapping):
        for name in sorted(set(sample) & {"net_input", "target"}):
            part = sample[name]
            values = [part[key] for key in sorted(part)] if isinstance(part, Mapping) else [part]
            yield from (value for value in values if isinstance(value, Tensor))
