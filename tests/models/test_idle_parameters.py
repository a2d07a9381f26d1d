"""Trained by several workers, models may have parameters that take no part in a batch.

torch's wrapper of a model waits for a gradient of every parameter, and fails at the batch after one that had not all.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import model_families
import pytest
import torch
import torch.distributed
from fairseq.criterions.sentence_prediction import SentencePredictionConfig
from fairseq.data import Dictionary
from fairseq.distributed import ModuleProxyWrapper
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from torch.nn.parallel import DistributedDataParallel

from headprune import removal
from headprune.heads import HeadSpace
from headprune.models import criteria

Case = tuple[Any, Any, dict[str, Any]]  # model, criterion, batch


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """This process is a group of workers."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def rare_words(words: Dictionary, build: Callable[..., Any], batches: list[dict[str, Any]]) -> Case:
    """An adaptive softmax, and a batch without a word of its last cluster."""
    sizes = Namespace(decoder_embed_dim=16, decoder_ffn_embed_dim=16, decoder_layers=1, decoder_attention_heads=2)
    sizes.adaptive_softmax_cutoff, sizes.max_target_positions = f"{len(words) // 2}", 64
    sizes.tokens_per_sample = 64
    base_lm_architecture(sizes)
    task = Namespace(source_dictionary=words, target_dictionary=words)
    batch = model_families.for_language_model(batches[0])
    target = torch.where(batch["target"] == words.pad(), words.pad(), words.nspecial)
    batch |= {"target": target, "ntokens": int((target != words.pad()).sum())}
    return TransformerLanguageModel.build_model(sizes, task), criteria.GatedCrossEntropy(task, False), batch


def without_heads(words: Dictionary, build: Callable[..., Any], batches: list[dict[str, Any]]) -> Case:
    """A Transformer without cross-attention, whose whole encoder is idle."""
    model = build()
    space = HeadSpace.of(model)
    model = removal.remove_heads(model, space.keep([n for n, head in enumerate(space) if head.type != "cross"]))
    criterion = criteria.GatedLabelSmoothedCrossEntropy(Namespace(target_dictionary=words), False, 0.1)
    return model, criterion, batches[0]


def for_the_penalty_alone(words: Dictionary, build: Callable[..., Any], batches: list[dict[str, Any]]) -> Case:
    """Multipliers of a constraint; and what predicts masked words, under a classification head."""
    gates = {"gate_method": "lagrangian_l0", "gate_budget": 3, "gate_total_updates": 9}
    model = model_families.roberta(words, **gates)
    task = Namespace(target_dictionary=words, label_dictionary=Dictionary())
    criterion = criteria.GatedSentencePrediction(SentencePredictionConfig(), task)
    return model, criterion, {**model_families.for_roberta(batches[0]), "ntokens": 1, "nsentences": 2}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("case", [rare_words, without_heads, for_the_penalty_alone])
def test_they_have_a_gradient_of_zero(
    case: Callable[..., Case],
    dictionary: Dictionary,
    build: Callable[..., Any],
    batches: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, criterion, batch = case(dictionary, build, batches)
    model.train()

    def pass_twice() -> None:
        wrapped = ModuleProxyWrapper(DistributedDataParallel(model))
        for _ in range(2):
            criterion(wrapped, batch)[0].backward()

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="finished reduction"):
        patch.setattr(criteria, "of_all_parameters", lambda loss, model: loss)
        pass_twice()
    model.zero_grad()
    pass_twice()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained)
    idle = [parameter for parameter in trained if not parameter.grad.any()]
    assert idle
    assert torch.equal(criteria.of_all_parameters(torch.tensor(1.5), model), torch.tensor(1.5))
