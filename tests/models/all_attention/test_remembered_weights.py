"""Values kept beside the memory are of the weights as they are, whoever writes to them, and however."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune.models.all_attention import standing_still
from headprune.models.all_attention.memory import LayerMemory
from tests.found import Found, rows

BuildLM = Callable[..., Any]
Stream = Callable[..., Tensor]


def scale_data(model: Any) -> None:
    for parameter in model.parameters():
        parameter.data.mul_(1.1)


def scale_in_place(model: Any) -> None:
    for parameter in model.parameters():
        parameter.mul_(1.1)


def scale_together(model: Any) -> None:
    torch._foreach_mul_(list(model.parameters()), 1.1)


def scale_through_numpy(model: Any) -> None:
    for parameter in model.parameters():
        parameter.detach().numpy()[...] *= 1.1


def load_scaled(model: Any) -> None:
    model.load_state_dict({name: 1.1 * value for name, value in model.state_dict().items()})


def give_data(model: Any) -> None:
    for parameter in model.parameters():
        parameter.data = 1.1 * parameter.data


def give_parameters(model: Any) -> None:
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                setattr(module, name, torch.nn.Parameter(1.1 * parameter))


def change_one_number(model: Any) -> None:
    model.decoder.layers[2].self_attn.v_proj.weight.data[3, 5] += 0.5


def change_one_position(model: Any) -> None:
    model.decoder.distances.weight.data[6] += 0.5


def change_a_norm(model: Any) -> None:
    model.decoder.layers[1].norm.bias.data += 0.5


@rows(
    Found("a write through .data", 0.1, 0.0, "a new model with these weights", scale_data),
    Found("a write through shared memory", 0.1, 0.0, "a new model with these weights", scale_through_numpy),
    Found("a write in place", 0.0, 0.0, "a new model with these weights", scale_in_place),
    Found("a write to all at once", 0.0, 0.0, "a new model with these weights", scale_together),
    Found("loading", 0.0, 0.0, "a new model with these weights", load_scaled),
    Found("other data", 0.0, 0.0, "a new model with these weights", give_data),
    Found("other parameters", 0.0, 0.0, "a new model with these weights", give_parameters),
    Found("one number of a value projection", 0.1, 0.0, "a new model with these weights", change_one_number),
    Found("one position", 0.1, 0.0, "a new model with these weights", change_one_position),
    Found("a layer norm", 0.1, 0.0, "a new model with these weights", change_a_norm),
)
@pytest.mark.parametrize("start", [True, False])
def test_evaluation_sees_every_change_of_the_weights(
    build_lm: BuildLM, stream: Stream, start: bool, found: Found
) -> None:
    """Bit for bit; also where rows go on: old hidden states, read with the new weights."""
    model, first, second = build_lm(), stream(5), stream(5, seed=2)
    with torch.no_grad():
        model(first, start=True)
        before = model(second, start=start)[0]
        model(first, start=True)
        states = [layer.states.clone() for layer in model.decoder._memories[False]]
        found.case(model)
        fresh = build_lm(seed=2)
        fresh.load_state_dict(model.state_dict())
        fresh.decoder._memories[False] = [LayerMemory(layer) for layer in states]
        expected, after = fresh(second, start=start)[0], model(second, start=start)[0]
    assert (after - expected).abs().max().item() == found.right
    assert (after - before).abs().max() > 1e-3


def test_keys_of_the_memory_are_computed_once_while_weights_stand_still(build_lm: BuildLM, stream: Stream) -> None:
    """One position a layer for each token read; with a look at the weights and, where it is promised, without one."""
    model, tokens = build_lm(), stream(6, rows=1)
    seen: list[int] = []
    for layer in model.decoder.layers:
        layer.self_attn.k_proj.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        layer.self_attn.r_proj.register_forward_pre_hook(lambda _, inputs: seen.append(100 + len(inputs[0])))
    for context in (nullcontext(), standing_still(model)):
        with torch.no_grad(), context:
            model(tokens[:, :1], start=True)
            assert sorted(seen) == [7] * 3 + [107] * 3
            seen.clear()
            for position in range(1, 6):
                model(tokens[:, position : position + 1])
            assert seen == [1] * 15
            seen.clear()


def test_a_promise_ends_with_its_context_and_binds_no_copy(build_lm: BuildLM, stream: Stream) -> None:
    model, scaled, tokens = build_lm(), build_lm(), stream(5)
    scale_data(scaled)
    with torch.no_grad():
        expected = scaled(tokens, start=True)[0]
        with standing_still(model):
            model(tokens, start=True)
            twin = copy.deepcopy(model)
            twin(tokens, start=True)
            scale_data(twin)
            assert torch.equal(twin(tokens, start=True)[0], expected)
        scale_data(model)
        assert torch.equal(model(tokens, start=True)[0], expected)
