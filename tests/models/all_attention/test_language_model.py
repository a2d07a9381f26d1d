"""The whole model: recurrence, what a position sees, memory, dropout, options, fairseq's criteria."""

from __future__ import annotations

import copy
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.criterions.adaptive_loss import AdaptiveLoss
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.sequence_scorer import SequenceScorer
from torch import Tensor

from headprune.heads import attention_points
from headprune.models import AllAttentionLanguageModel
from headprune.models.all_attention import AllAttentionConfig

BuildLM = Callable[..., Any]
Stream = Callable[..., Tensor]
Read = Callable[..., Tensor]
ADAPTIVE = {"adaptive_cutoff": "12,24", "adaptive_factor": 2.0}
KINDS = {"all-attention": {}, "transformer-xl": {"persistent": 0, "ffn_dim": 20}, "final norm": {"final_norm": True}}
kinds = pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS.keys())


# recurrence


@kinds
def test_segments_equal_one_pass(build_lm: BuildLM, stream: Stream, read: Read, arguments: dict[str, Any]) -> None:
    """Two equal segments, uneven ones, single tokens; largest difference of a logit 1e-5."""
    model, tokens = build_lm(**arguments), stream(16)
    expected = read(model, tokens)
    for lengths in ((8,), (1, 7, 2, 5), (1,) * 16, (15,)):
        torch.testing.assert_close(read(model, tokens, *lengths), expected, rtol=0, atol=1e-5)


def test_training_mode_has_the_same_recurrence(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    """Without dropout, and without the cached keys and values of evaluation; 1e-5."""
    model, tokens = build_lm(), stream(16)
    expected = read(model, tokens)
    torch.testing.assert_close(read(model.train(), tokens, 5, 5), expected, rtol=0, atol=1e-5)


def test_no_position_sees_what_follows(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    model, tokens = build_lm(), stream(16)
    changed = tokens.clone()
    changed[:, 9:] = stream(7, seed=2)
    before, after = read(model, tokens, 8), read(model, changed, 8)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[:, 9], after[:, 9])


def test_a_layer_sees_as_far_as_the_memory_reaches(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    """M = 6: in a one-layer model a token matters to itself and the next 6 positions; in two layers to 12."""
    tokens = stream(16, 1)
    changed = tokens.clone()
    changed[0, 1] = tokens[0, 1] % 40 + 4
    for layers in (1, 2):
        model = build_lm(layers=layers)
        differs = (read(model, tokens, 8) - read(model, changed, 8)).abs().amax(-1)[0] > 0
        assert differs.tolist() == [1 <= t <= 1 + 6 * layers for t in range(16)]


# memory


def test_start_forgets_and_no_start_remembers(build_lm: BuildLM, stream: Stream) -> None:
    model, tokens = build_lm(), stream(5)
    with torch.no_grad():
        first, second, again = model(tokens, start=True)[0], model(tokens)[0], model(tokens, start=True)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_the_first_segment_has_zeros_to_look_at(build_lm: BuildLM, stream: Stream) -> None:
    """A segment after nothing is one after a memory of zeros, which is attended to: masking it would give others."""
    model, tokens = build_lm(layers=1), stream(5)
    with torch.no_grad():
        found = model(tokens)[0]
        block, states = model.decoder.layers[0], model.decoder.embed_tokens(tokens.t()) * 4
        normalised = block.norm(torch.cat([torch.zeros(6, 3, 16), states]))
        attended = block.self_attn(normalised[6:], normalised, model.decoder.distances.weight[:7])[0]
        expected = model.decoder.output_projection(states + attended).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_training_and_evaluation_remember_apart(build_lm: BuildLM, stream: Stream) -> None:
    model, tokens = build_lm(), stream(15)
    segments = tokens.split(5, dim=1)
    with torch.no_grad():
        model.train()(segments[0], start=True)
        expected = model(segments[1])[0]
        model(segments[0], start=True)
        model.eval()(segments[2], start=True)
        assert torch.equal(model.train()(segments[1])[0], expected)


@pytest.mark.parametrize("change", ["rows", "dtype"])
def test_other_rows_or_types_start_anew(build_lm: BuildLM, stream: Stream, change: str) -> None:
    model, tokens = build_lm(), stream(5)
    with torch.no_grad():
        model(tokens, start=True)
        if change == "rows":
            tokens = tokens[:2]
        else:
            model.double()
        found = model(tokens)[0]
        assert torch.equal(found, model(tokens, start=True)[0])


def test_memory_is_detached_and_not_in_the_checkpoint(build_lm: BuildLM, stream: Stream) -> None:
    model = build_lm().train()
    before = set(model.state_dict())
    model(stream(5))
    memory = model.training_memory()
    assert [tuple(states.shape) for states in memory] == [(6, 3, 16)] * 3
    assert not any(states.requires_grad for states in memory)
    assert set(model.state_dict()) == before
    copy.deepcopy(model)(stream(5))


def test_training_memory_can_be_restored(build_lm: BuildLM, stream: Stream) -> None:
    model, other = build_lm().train(), build_lm().train()
    model(stream(5))
    other.restore_training_memory(model.training_memory())
    assert torch.equal(other(stream(5, seed=2))[0], model(stream(5, seed=2))[0])
    other.restore_training_memory(None)
    assert other.training_memory() is None


def test_evaluation_follows_the_weights(build_lm: BuildLM, stream: Stream) -> None:
    """Keys, values and positions are remembered in evaluation, but not beyond a change of the weights.

    With gradients nothing is remembered: what the next segment gives then is what it must give; 1e-5.
    """
    for change in ("in place", "other tensors"):
        results = []
        for gradients in (False, True):
            model, tokens = build_lm(), stream(5)
            with torch.set_grad_enabled(gradients):
                model(tokens, start=True)
                with torch.no_grad():
                    for layer in model.decoder.layers:
                        weight = layer.self_attn.k_proj.weight
                        if change == "in place":
                            weight.mul_(2)
                        else:
                            layer.self_attn.k_proj.weight = torch.nn.Parameter(2 * weight)
                    model.decoder.distances.weight.mul_(2)
                results.append(model(tokens)[0].detach())
        torch.testing.assert_close(*results, rtol=0, atol=1e-5)
        assert not torch.equal(results[0], build_lm()(tokens)[0])


# options


def test_embeddings_are_dropped_word_by_word(build_lm: BuildLM, dictionary: Dictionary) -> None:
    """All occurrences of a type vanish together; the others are scaled by 1 / 0.5, times √d."""
    model = build_lm(word_dropout=0.5).train()
    tokens = torch.arange(44).repeat(1, 3)
    torch.manual_seed(1)
    with torch.no_grad():
        embedded = model.decoder._embed(tokens.t())[:, 0].view(3, 44, 16)
    assert torch.equal(embedded[0], embedded[1])
    gone = embedded[0].eq(0).all(-1)
    assert 0 < gone.sum() < 44
    torch.testing.assert_close(embedded[0][~gone], model.decoder.embed_tokens.weight[~gone] * 2 * 4)


def test_every_dropout_acts_in_training_only(build_lm: BuildLM, stream: Stream) -> None:
    for name in ("dropout", "attention_dropout", "input_dropout", "output_dropout", "word_dropout"):
        model, tokens = build_lm(**{name: 0.4}), stream(5)
        with torch.no_grad():
            evaluated = model(tokens, start=True)[0]
            assert torch.equal(model(tokens, start=True)[0], evaluated)
            assert torch.equal(build_lm()(tokens, start=True)[0], evaluated)
            model.train()
            assert not torch.equal(model(tokens, start=True)[0], evaluated), name


def test_shared_embeddings_are_one_tensor(build_lm: BuildLM) -> None:
    tied, untied = (build_lm(share_embeddings=share).decoder for share in (True, False))
    assert tied.output_projection.weight is tied.embed_tokens.weight
    assert untied.output_projection.weight is not untied.embed_tokens.weight
    assert tied.output_projection.bias is not None


def test_initial_weights(task: Namespace) -> None:
    """Uniform: largest value just below the bound, standard deviation bound / √3 within 5 %; the rest zeros."""
    sizes = {"layers": 4, "width": 64, "heads": 4, "persistent": 32, "memory_length": 6, "max_relative": 64}
    decoder = AllAttentionLanguageModel.build_model(Namespace(**sizes), task).decoder
    attention = decoder.layers[1].self_attn
    wide, narrow = 64**-0.5, (64 * 4) ** -0.5
    narrow_ones = [getattr(attention, f"{name}_proj").weight for name in "qkvr"]
    narrow_ones += [attention.persistent_keys, attention.persistent_values]
    wide_ones = [attention.out_proj.weight, decoder.distances.weight, decoder.embed_tokens.weight]
    for tensors, bound in ((narrow_ones, narrow), (wide_ones, wide)):
        for tensor in tensors:
            assert 0.95 * bound < tensor.abs().max().item() <= bound
            assert tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    zeros = [attention.content_bias, attention.position_bias, attention.out_proj.bias, decoder.output_projection.bias]
    assert not any(tensor.any() for tensor in zeros)
    other = AllAttentionLanguageModel.build_model(Namespace(**sizes, initialisation="sukhbaatar"), task).decoder
    attention = other.layers[1].self_attn
    assert attention.persistent_keys.std().item() * 16**0.5 == pytest.approx(1, rel=0.05)
    assert attention.persistent_values.std().item() * 32**0.5 == pytest.approx(1, rel=0.05)


BAD = {
    "--heads is 0; it must be at least 1": {"heads": 0},
    "--width is 18; it must be a multiple of heads, 4": {"width": 18},
    "--max-relative is 6; it must exceed memory_length, 6": {"max_relative": 6},
    r"--dropout is 1.0; it must be in \[0, 1\)": {"dropout": 1.0},
    "--persistent is -1; it must not be negative": {"persistent": -1},
    "--initialisation is 'xavier'; it must be one of shim, sukhbaatar": {"initialisation": "xavier"},
    "--share-embeddings is True; it must not come with adaptive_cutoff": {"share_embeddings": True} | ADAPTIVE,
    "--adaptive-cutoff is 24,12; it must ascend within the 44 symbols": {"adaptive_cutoff": "24,12"},
    "--adaptive-factor is 8; it must leave the last band of --width 16": {
        "adaptive_cutoff": "12,24",
        "adaptive_factor": 8,
    },
    "--adaptive-cutoff is 50; it must ascend": {"adaptive_cutoff": "50"},
}


@pytest.mark.parametrize(("message", "arguments"), BAD.items(), ids=[",".join(bad) for bad in BAD.values()])
def test_impossible_architectures_are_refused(build_lm: BuildLM, message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        build_lm(**arguments)


def test_the_command_line_knows_every_field(task: Namespace) -> None:
    parser = ArgumentParser()
    AllAttentionLanguageModel.add_args(parser)
    given = ["--layers", "1", "--width", "32", "--heads", "2", "--persistent", "3", "--memory-length", "4"]
    given += [
        "--adaptive-cutoff",
        "12,24",
        "--final-norm",
        "--word-dropout",
        "0.3",
        "--keep-heads",
        '{"decoder.0": [1]}',
    ]
    model = AllAttentionLanguageModel.build_model(parser.parse_args(given), task)
    expected = AllAttentionConfig(layers=1, width=32, heads=2, persistent=3, memory_length=4)
    expected.adaptive_cutoff, expected.final_norm, expected.word_dropout = "12,24", True, 0.3
    assert model.cfg == expected
    assert [point.indices for point in attention_points(model)] == [(1,)]


# fairseq's criteria and scorer


def test_an_adaptive_model_takes_a_training_step(
    build_lm: BuildLM, segments: list[dict[str, Any]], dictionary: Dictionary
) -> None:
    """fairseq's adaptive loss is the cross-entropy of the full distribution (1e-4), and falls by a step."""
    model = build_lm(**ADAPTIVE).train()
    criterion = AdaptiveLoss(Namespace(target_dictionary=dictionary), sentence_avg=False)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch, losses = segments[0], []
    for _ in range(2):
        optimiser.zero_grad()
        loss, size, _ = criterion(model, batch)
        with torch.no_grad():
            scores = model.get_normalized_probs(model(**batch["net_input"]), log_probs=True)
        expected = -scores.gather(-1, batch["target"].unsqueeze(-1)).sum()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
        torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, 5))
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimiser.step()
        losses.append(loss.item() / size)
    assert losses[1] < losses[0]


def test_adaptive_projections_are_tied(build_lm: BuildLM) -> None:
    decoder = build_lm(**ADAPTIVE).decoder
    for band, tail in enumerate(decoder.adaptive_softmax.tail, start=1):
        words, projection = decoder.embed_tokens.weights_for_band(band)
        assert tail[0].weight is projection
        assert tail[2].weight is words


@pytest.mark.parametrize("arguments", [{}, {"share_embeddings": True}, ADAPTIVE], ids=["plain", "tied", "adaptive"])
def test_fairseq_scores_segment_by_segment(
    build_lm: BuildLM, segments: list[dict[str, Any]], dictionary: Dictionary, arguments: dict[str, Any]
) -> None:
    """fairseq's scorer over three segments: the cross-entropies of one pass over them all; 1e-4."""
    model, scorer = build_lm(**arguments), SequenceScorer(dictionary)
    found = [scorer.generate([model], dict(batch)) for batch in segments]
    scores = torch.cat([torch.stack([row[0]["positional_scores"] for row in rows]) for rows in found], dim=1)
    tokens = torch.cat([batch["net_input"]["src_tokens"] for batch in segments], dim=1)
    targets = torch.cat([batch["target"] for batch in segments], dim=1)
    with torch.no_grad():
        whole = model.get_normalized_probs(model(tokens, start=True), log_probs=True)
    torch.testing.assert_close(scores, whole.gather(-1, targets.unsqueeze(-1)).squeeze(-1), rtol=0, atol=1e-4)


def test_gradients_reach_every_parameter(build_lm: BuildLM, segments: list[dict[str, Any]], task: Namespace) -> None:
    model = build_lm(ffn_dim=12, final_norm=True).train()
    loss, _, _ = CrossEntropyCriterion(task, sentence_avg=False)(model, segments[0])
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_checkpoint_round_trip(build_lm: BuildLM, stream: Stream, read: Read, tmp_path: Path) -> None:
    model, other, tokens = build_lm(), build_lm(seed=2), stream(12)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(read(other, tokens, 6), read(model, tokens, 6))
