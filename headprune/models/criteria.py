"""Criteria of gate training.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from fairseq import checkpoint_utils, utils
from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.criterions.sentence_prediction import (
    SentencePredictionConfig,
    SentencePredictionCriterion,
)
from fairseq.logging import metrics
from torch import Tensor

from headprune.importance import token_losses
from headprune.models.losses import decoded_losses


def is_lean(model: Any) -> bool:
    """True if a model itself, not a wrapper of several workers around it, takes the lean way now."""
    return bool(vars(model).get("lean")) and model.goes_lean()


def of_all_parameters(loss: Tensor, model: Any) -> Tensor:
    """The same loss; where several workers train it depends on all that is trained.

    torch's wrapper of a model waits for a gradient of every parameter, and some take no part in a batch: clusters of an
    adaptive softmax without a word, what removed heads have left idle, what a gate method has for its penalty alone.
    """
    if not (model.training and torch.distributed.is_initialized()):
        return loss
    idle = [0 * parameter.sum().to(loss.dtype) for parameter in model.parameters() if parameter.requires_grad]
    return loss + torch.stack(idle).sum()


@register_criterion("gated_label_smoothed_cross_entropy", dataclass=LabelSmoothedCrossEntropyCriterionConfig)
class GatedLabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """Label-smoothed cross-entropy plus the penalty of the gate method.

    The penalty is one per update, added to the *mean* loss; fairseq divides the sum over workers and micro-batches by
    the sample size, so here it is multiplied by it (the λ_eff of docs/theory/hard-concrete.md#objective). Validation
    has no penalty.
    """

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> Any:
        plain = not reduce or self.report_accuracy or self.ignore_prefix_size
        if not plain and is_lean(model):
            loss, sample_size, logging_output = self.lean_forward(model, sample)
        else:
            loss, sample_size, logging_output = super().forward(model, sample, reduce)
        if model.training and hasattr(model, "gate_penalty"):
            loss = loss + sample_size * model.gate_penalty()
        return of_all_parameters(loss, model) if reduce else loss, sample_size, logging_output

    def lean_forward(self, model: Any, sample: Mapping[str, Any]) -> tuple[Tensor, int, dict[str, Any]]:
        """The same loss from hidden states, of padding none; see `smoothed_cross_entropy`."""
        loss, nll_loss = decoded_losses(model, sample, self.padding_idx, self.eps)
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        counts = {"ntokens": sample["ntokens"], "nsentences": sample["target"].size(0), "sample_size": sample_size}
        return loss, sample_size, {"loss": loss.data, "nll_loss": nll_loss.data, **counts}


@register_criterion("gated_cross_entropy", dataclass=CrossEntropyCriterionConfig)
class GatedCrossEntropy(CrossEntropyCriterion):
    """Cross-entropy of a language model, of its adaptive softmax if it has one, plus the penalty of the gate method.

    The penalty is added as in `GatedLabelSmoothedCrossEntropy`, in training only, and logged apart: `loss` is the
    cross-entropy alone, so that it compares between methods.
    """

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> Any:
        if reduce and is_lean(model):
            loss, _ = decoded_losses(model, sample, self.padding_idx)
        else:
            losses = token_losses(model, model(**sample["net_input"]), sample["target"])
            loss = losses.sum() if reduce else losses
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        counts = {"ntokens": sample["ntokens"], "nsentences": sample["target"].size(0), "sample_size": sample_size}
        logged = {"loss": loss.data, "nll_loss": loss.data, **counts}
        if model.training and reduce and hasattr(model, "gate_penalty"):
            penalty = sample_size * model.gate_penalty()
            loss = loss + penalty
            logged["gate_penalty"] = penalty.data if isinstance(penalty, Tensor) else penalty
        return of_all_parameters(loss, model) if reduce else loss, sample_size, logged

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Logs `loss` per sample and `nll_loss` per token in bits, `ppl`, and the penalty of a gate method."""
        total = {
            key: utils.item(sum(log.get(key, 0) for log in logging_outputs))
            for key in ("loss", "nll_loss", "ntokens", "sample_size", "gate_penalty")
        }
        size, tokens = total["sample_size"], total["ntokens"]
        metrics.log_scalar("loss", total["loss"] / size / math.log(2), size, round=3)
        metrics.log_scalar("nll_loss", total["nll_loss"] / tokens / math.log(2), tokens, round=3)
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))
        if total["gate_penalty"]:
            metrics.log_scalar("gate_penalty", total["gate_penalty"] / size, size, round=4)


@register_criterion("gated_sentence_prediction", dataclass=SentencePredictionConfig)
class GatedSentencePrediction(SentencePredictionCriterion):
    """Cross-entropy of labels plus the penalty of the gate method, as in `GatedLabelSmoothedCrossEntropy`.

    The sample size is the number of examples, so that the penalty is added to the mean loss of an example.
    """

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> Any:
        loss, sample_size, logging_output = super().forward(model, sample, reduce)
        if model.training and hasattr(model, "gate_penalty"):
            loss = loss + sample_size * model.gate_penalty()
        return of_all_parameters(loss, model) if reduce else loss, sample_size, logging_output

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]]) -> None:
        """Logs what fairseq does, and as `nll_loss` the bits per label, not per token that was read."""
        labels = [{**log, "ntokens": log.get("sample_size", 0)} for log in logging_outputs]
        SentencePredictionCriterion.reduce_metrics(labels)  # logs no `nll_loss` where these are equal
        loss, size = (utils.item(sum(log.get(key, 0) for log in labels)) for key in ("loss", "sample_size"))
        metrics.log_scalar("nll_loss", loss / size / math.log(2), size, round=3)


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
        logged = {"loss": loss.data, "nll_loss": nll_loss.data, **counts}
        return of_all_parameters(loss, model) if reduce else loss, sample_size, logged

    def divergence(self, net_output: Any, sample: Mapping[str, Any]) -> Tensor:
        """T² · KL(teacher ‖ model) in nats, summed over unpadded target positions: a scalar.

        :param net_output: of the model, its logits (batch, tgt, vocabulary) first
        :param sample: the mini-batch, `target` (batch, tgt)
        """
        logits = net_output[0].float()  # (batch, tgt, vocabulary)
        teacher = self._teacher[0] = self._teacher[0].to(logits.device)
        with torch.no_grad():
            wanted = torch.log_softmax(teacher(**sample["net_input"])[0].float() / self.temperature, -1)
        found = torch.log_softmax(logits / self.temperature, -1)
        each = F.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)  # (batch, tgt)
        return self.temperature**2 * each.masked_fill(sample["target"].eq(self.padding_idx), 0).sum()
