"""Criteria of gate training.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from fairseq import checkpoint_utils
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from torch import Tensor


@register_criterion("gated_label_smoothed_cross_entropy", dataclass=LabelSmoothedCrossEntropyCriterionConfig)
class GatedLabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """Label-smoothed cross-entropy plus the penalty of the gate method.

    The penalty is one per update, added to the *mean* loss; fairseq divides the sum over workers and micro-batches by
    the sample size, so here it is multiplied by it (the λ_eff of METHODS.md 6.2). Validation has no penalty.
    """

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> Any:
        loss, sample_size, logging_output = super().forward(model, sample, reduce)
        if model.training and hasattr(model, "gate_penalty"):
            loss = loss + sample_size * model.gate_penalty()
        return loss, sample_size, logging_output


@dataclass
class DistilledConfig(LabelSmoothedCrossEntropyCriterionConfig):
    teacher: str = field(default="", metadata={"help": "checkpoint of the model to learn from"})
    distillation: float = field(default=0.5, metadata={"help": "weight of the teacher's distribution, 0 to 1"})
    distillation_temperature: float = field(default=1.0, metadata={"help": "of both distributions"})


@register_criterion("distilled_label_smoothed_cross_entropy", dataclass=DistilledConfig)
class DistilledCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """(1 − w) · label-smoothed cross-entropy + w · T² · KL(teacher ‖ model) at temperature T (Hinton et al. 2015).

    Summed over unpadded target positions like fairseq's own criterion. Validation has no teacher, so that its loss
    compares with that of other trainings.
    """

    def __init__(
        self,
        task: Any,
        sentence_avg: bool,
        label_smoothing: float,
        ignore_prefix_size: int = 0,
        report_accuracy: bool = False,
        teacher: str = "",
        distillation: float = 0.5,
        distillation_temperature: float = 1.0,
    ) -> None:
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        self.weight, self.temperature = distillation, distillation_temperature
        (model,), _ = checkpoint_utils.load_model_ensemble([teacher], task=task)
        self._teacher = [model.eval()]  # in a list: no submodule, so neither trained nor saved

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> Any:
        net_output = model(**sample["net_input"])
        loss, nll_loss = self.compute_loss(model, net_output, sample, reduce=reduce)
        if model.training:
            loss = (1 - self.weight) * loss + self.weight * self.divergence(net_output, sample)
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        counts = {"ntokens": sample["ntokens"], "nsentences": sample["target"].size(0), "sample_size": sample_size}
        return loss, sample_size, {"loss": loss.data, "nll_loss": nll_loss.data, **counts}

    def divergence(self, net_output: Any, sample: Mapping[str, Any]) -> Tensor:
        """T² · KL(teacher ‖ model), summed over unpadded target positions."""
        logits = net_output[0].float()  # (batch, tgt, vocabulary)
        teacher = self._teacher[0] = self._teacher[0].to(logits.device)
        with torch.no_grad():
            wanted = torch.log_softmax(teacher(**sample["net_input"])[0].float() / self.temperature, -1)
        found = torch.log_softmax(logits / self.temperature, -1)
        each = F.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)  # (batch, tgt)
        return self.temperature**2 * each.masked_fill(sample["target"].eq(self.padding_idx), 0).sum()
