"""Generation through the memory, one token at a time."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import torch

from headprune.heads import HeadSpace
from headprune.models import AllAttentionLanguageModel
from headprune.removal import remove_heads
from headprune.tasks.language_modeling.generation import generate

PREFIX = [2, 7, 9, 30, 8, 8, 12, 5, 41]  # longer than the memory


@pytest.fixture(params=[{}, {"adaptive_cutoff": "12,24", "adaptive_factor": 2.0}], ids=["plain", "adaptive"])
def model(request: pytest.FixtureRequest, task: Namespace) -> Any:
    torch.manual_seed(1)
    sizes = {"layers": 2, "width": 16, "heads": 4, "persistent": 5, "memory_length": 6, "max_relative": 9}
    model = AllAttentionLanguageModel.build_model(Namespace(**sizes, **request.param), task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


def distribution(model: Any, tokens: list[int]) -> torch.Tensor:
    """Probabilities of what follows these tokens, from one pass over all of them."""
    with torch.no_grad():
        output = model(torch.tensor([tokens]), start=True)
    probabilities = model.get_normalized_probs(output, log_probs=False)[0, -1].clone()
    probabilities[[0, 1]] = 0
    return probabilities / probabilities.sum()


def test_the_likeliest_token_is_that_of_one_pass(model: Any) -> None:
    """At temperature 0, and with only one token to draw from."""
    expected = list(PREFIX)
    for _ in range(15):
        expected.append(int(distribution(model, expected).argmax()))
    assert generate(model, PREFIX, 15, temperature=0) == expected[len(PREFIX) :]
    assert generate(model, PREFIX, 15, top_k=1) == expected[len(PREFIX) :]


def test_stepwise_probabilities_are_those_of_one_pass(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probabilities of every step agree within 1e-5."""
    seen = []
    multinomial = torch.multinomial

    def recorded(probabilities: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(probabilities)
        return multinomial(probabilities, *args, **kwargs)

    monkeypatch.setattr(torch, "multinomial", recorded)
    tokens = PREFIX + generate(model, PREFIX, 15, generator=torch.Generator().manual_seed(1))
    assert len(seen) == 15
    for step, found in enumerate(seen):
        expected = distribution(model, tokens[: len(PREFIX) + step])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_draws_follow_the_distribution(model: Any) -> None:
    """The share of each of 5 likeliest tokens in 2,000 draws at temperature 2 is within 4 standard errors."""
    scores = distribution(model, PREFIX).sqrt()
    likeliest = scores.topk(5).indices.tolist()
    expected = scores[likeliest] / scores[likeliest].sum()
    generator = torch.Generator().manual_seed(1)
    drawn = [generate(model, PREFIX, 1, temperature=2, top_k=5, generator=generator)[0] for _ in range(2000)]
    assert set(drawn) <= set(likeliest)
    for token, share in zip(likeliest, expected.tolist(), strict=True):
        assert drawn.count(token) / 2000 == pytest.approx(share, abs=4 * (share * (1 - share) / 2000) ** 0.5)


def test_pruned_models_speak_too(model: Any) -> None:
    space = HeadSpace.of(model)
    for mask in (space.keep([]), space.keep([3])):
        assert len(generate(remove_heads(model, mask), [2], 12, temperature=0)) == 12


def test_generation_leaves_mode_and_training_memory(model: Any) -> None:
    model.train()(torch.tensor([PREFIX]))
    before = [states.clone() for states in model.training_memory()]
    generate(model, PREFIX, 3)
    assert model.training
    assert all(torch.equal(old, new) for old, new in zip(before, model.training_memory(), strict=True))
    assert False not in model.decoder._memories  # nothing is left of the evaluation memory


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("prefix is empty", {"prefix": []}),
        ("temperature is -1; it must not be negative", {"temperature": -1}),
        ("top_k is 0; it must be within 1…44", {"top_k": 0}),
        ("top_k is 45; it must be within 1…44", {"top_k": 45}),
        ("length is -1; it must not be negative", {"length": -1}),
    ],
)
def test_senseless_requests_are_refused(model: Any, message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        generate(model, **{"prefix": PREFIX, "length": 3} | arguments)
