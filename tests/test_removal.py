"""Removing heads is masking them, for good: same function, fewer parameters, and a checkpoint without code in it."""

from __future__ import annotations

import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from headprune import removal
from headprune.cost import parameters
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.method import OutputProjection
from headprune.models import HeadpruneTransformer
from headprune.surgery import shrink

TOLERANCE = 1e-5  # fp32

Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
RandomMask = Callable[..., HeadMask]
NORMS = pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=2, size=6)


def without(space: HeadSpace, *modules: str) -> HeadMask:
    """The mask that empties these modules and keeps the rest."""
    return space.keep(i for i, head in enumerate(space) if head.module not in modules)


def masks(space: HeadSpace, random_mask: RandomMask) -> list[HeadMask]:
    """20 masks: K = 0 and N, whole modules and types empty, and random ones."""
    kinds = [[name for name in space.modules if name.startswith(kind)] for kind in ("encoder", "cross", "decoder")]
    emptied = [["encoder.0"], ["cross.1", "decoder.0"], *kinds, kinds[0] + kinds[2]]
    counts = (0, 24, 1, 23, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    chosen = [random_mask(space, kept, seed=kept) for kept in counts]
    chosen += [without(space, *modules) for modules in emptied]
    assert len(chosen) == 20
    return chosen


@NORMS
def test_masked_model_equals_removed_model(
    build: Build, batch: Batch, logits: Logits, random_mask: RandomMask, pre_norm: bool
) -> None:
    model = build(pre_norm=pre_norm)
    for mask in masks(HeadSpace.of(model), random_mask):
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        torch.testing.assert_close(logits(pruned, batch), logits(model, batch), rtol=0, atol=TOLERANCE)


def test_removing_no_head_keeps_the_model_bit_for_bit(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).full)
    assert torch.equal(logits(pruned, batch), logits(build(stock=True), batch))


def beams(model: Any, batch: Batch, dictionary: Dictionary) -> list[tuple[list[int], float]]:
    generator = SequenceGenerator([model], dictionary, beam_size=4, max_len_a=0, max_len_b=10)
    found = generator.generate([model], batch)
    generator.model.set_decoder_beam_size(1)
    return [(beam["tokens"].tolist(), beam["score"].item()) for beams in found for beam in beams]


@NORMS
def test_beam_search_finds_the_same(
    build: Build, batch: Batch, random_mask: RandomMask, dictionary: Dictionary, pre_norm: bool
) -> None:
    """All four hypotheses of every sentence token by token, their scores within 1e-5."""
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    for mask in (without(space, "cross.0", "decoder.1"), space.keep([]), random_mask(space, 9), random_mask(space, 20)):
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        masked, removed = beams(model, batch, dictionary), beams(pruned, batch, dictionary)
        assert [tokens for tokens, _ in removed] == [tokens for tokens, _ in masked]
        assert [score for _, score in removed] == pytest.approx([score for _, score in masked], abs=TOLERANCE)


def test_training_goes_on_after_removal(build: Build, batch: Batch) -> None:
    """Every parameter of the pruned model is trainable and gets a gradient, unless no path leads to the loss."""
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.1")).train()
    pruned(**batch["net_input"])[0].square().sum().backward()
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in pruned.parameters())


def test_parameters_drop_by_the_weights_of_the_heads(build: Build, random_mask: RandomMask) -> None:
    """4·d·d_h + 3·d_h a head (METHODS.md 1.5), also where a module is emptied: it keeps its output bias only."""
    model = build()
    space = HeadSpace.of(model)
    whole, width, head_width = parameters(model), 32, 8
    for mask in masks(space, random_mask):
        removed = len(space) - mask.count
        pruned = removal.remove_heads(model, mask)
        assert whole - parameters(pruned) == removed * (4 * width * head_width + 3 * head_width)
        for point in attention_points(pruned):
            heads = mask.per_module()[point.name]
            own = sum(p.numel() for p in point.module.parameters())
            assert own == heads * (4 * width * head_width + 3 * head_width) + width


def test_original_is_left_whole(build: Build, batch: Batch, logits: Logits, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    before = logits(model, batch)
    mask = HeadSpace.of(model).keep([3, 8, 9])
    set_mask(model, mask)
    with unchanged(model):
        pruned = removal.remove_heads(model, mask)
    assert torch.equal(logits(model, batch), before)  # the mask is taken off
    shared = {id(p) for p in model.parameters()} & {id(p) for p in pruned.parameters()}
    assert not shared


def test_softmax_scale_and_head_width_stay(build: Build) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 1, 6]))
    first, second, *rest = (point.module for point in attention_points(pruned))
    assert (first.num_heads, first.head_dim, first.scaling, first.embed_dim) == (2, 8, 8**-0.5, 16)
    assert (second.num_heads, second.head_dim, second.scaling, second.embed_dim) == (1, 8, 8**-0.5, 8)
    assert tuple(second.out_proj.weight.shape) == (32, 8)
    assert (second.out_proj.in_features, second.q_proj.out_features) == (8, 8)
    assert [module.num_heads for module in rest] == [0] * 4


def test_removing_twice_equals_removing_at_once(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    space = HeadSpace.of(model)
    first = space.keep([0, 1, 3, 6, 8, 9, 12, 15, 20])
    both = space.keep([1, 3, 8, 12, 15])
    half = removal.remove_heads(model, first)
    smaller = HeadSpace.of(half)
    second = HeadMask(smaller, [name in both.names() for name in smaller.names])
    twice, once = removal.remove_heads(half, second), removal.remove_heads(model, both)
    assert HeadSpace.of(twice) == HeadSpace.of(once)
    a, b = twice.state_dict(), once.state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert torch.equal(logits(twice, batch), logits(once, batch))


def test_a_removed_model_can_be_masked(build: Build, batch: Batch, logits: Logits) -> None:
    """Masking what is left equals removing it too; clearing that mask gives the pruned model back bit for bit."""
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 1, 3, 6, 8, 9, 12, 15, 20]))
    before = logits(pruned, batch)
    mask = HeadSpace.of(pruned).keep([0, 3, 6])
    set_mask(pruned, mask)
    masked = logits(pruned, batch)
    assert not torch.allclose(masked, before, atol=1e-3)
    further = removal.remove_heads(pruned, mask)
    torch.testing.assert_close(logits(further, batch), masked, rtol=0, atol=TOLERANCE)
    clear_mask(pruned)
    assert torch.equal(logits(pruned, batch), before)


def test_a_model_without_heads_has_an_empty_space(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([]))
    space = HeadSpace.of(pruned)
    assert len(space) == 0
    set_mask(pruned, space.full)
    assert torch.equal(logits(removal.remove_heads(pruned, space.full), batch), logits(pruned, batch))


def test_a_mask_of_another_model_is_refused(build: Build) -> None:
    model = build()
    other = HeadSpace.of(build(encoder_layers=1))
    with pytest.raises(ValueError, match="the mask is over 20 heads, the model has 24"):
        removal.remove_heads(model, other.full)


def test_heads_that_the_model_lacks_are_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="no attention module 'encoder.7'"):
        shrink(build(), {"encoder.7": (0,)})
    with pytest.raises(ValueError, match=r"module cross.0 has heads \(0, 1, 2, 3\), asked to keep \(4,\)"):
        shrink(build(), {"cross.0": (4,)})


# Other architectures than the default: what a checkpoint has to say of the model to be loaded again.
ARCHITECTURES = {
    "post-norm": {},
    "pre-norm": {"pre_norm": True},
    "untied": {"share_all_embeddings": False},
    "output tied": {"share_all_embeddings": False, "share_decoder_input_output_embed": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True, "max_source_positions": 64},
    "norm of embeddings": {"layernorm_embedding": True, "activation_fn": "gelu"},
    "uneven": {"decoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_embed_dim": 16},
    "no scaling": {"no_scale_embedding": True, "no_token_positional_embeddings": True},
}


@pytest.mark.parametrize("arguments", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def test_saving_and_loading_is_a_round_trip(
    build: Build, batch: Batch, logits: Logits, tmp_path: Path, random_mask: RandomMask, arguments: dict[str, Any]
) -> None:
    model = build(**arguments)
    space = HeadSpace.of(model)
    for kept in (0, len(space) // 2, len(space)):
        pruned = removal.remove_heads(model, random_mask(space, kept))
        path = tmp_path / f"{kept}.pt"
        removal.save(pruned, path)
        loaded = removal.load(path)
        a, b = pruned.state_dict(), loaded.state_dict()
        assert list(a) == list(b)
        assert all(torch.equal(a[key], b[key]) for key in a)
        assert torch.equal(logits(loaded, batch), logits(pruned, batch))
        assert HeadSpace.of(loaded) == HeadSpace.of(pruned)
        assert parameters(loaded) == parameters(pruned)
        assert not any(module.training for module in loaded.modules())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"0.pt", f"{len(space)}.pt", path_of_half(space)})


def path_of_half(space: HeadSpace) -> str:
    return f"{len(space) // 2}.pt"


def test_loading_twice_pruned_models(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    model = build()
    half = removal.remove_heads(model, HeadSpace.of(model).keep([1, 3, 8, 9, 22]))
    removal.save(half, tmp_path / "half.pt")
    loaded = removal.load(tmp_path / "half.pt")
    quarter = removal.remove_heads(loaded, HeadSpace.of(loaded).keep([0, 3]))
    removal.save(quarter, tmp_path / "quarter.pt")
    assert torch.equal(logits(removal.load(tmp_path / "quarter.pt"), batch), logits(quarter, batch))


def test_a_masked_model_is_saved_without_its_mask(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    model = build()
    before = logits(model, batch)
    set_mask(model, HeadSpace.of(model).keep([1]))
    removal.save(model, tmp_path / "whole.pt")
    assert torch.equal(logits(removal.load(tmp_path / "whole.pt"), batch), before)


def test_dictionaries_come_back(task: Namespace, batch: Batch, tmp_path: Path) -> None:
    """Of different languages, in their order, with their counts."""
    german = Dictionary()
    for number in range(50):
        german.add_symbol(f"g{number}", n=number)
    pair = Namespace(source_dictionary=german, target_dictionary=task.target_dictionary)
    args = Namespace(encoder_embed_dim=16, encoder_ffn_embed_dim=16, encoder_layers=1, decoder_layers=1)
    model = HeadpruneTransformer.build_model(args, pair)
    removal.save(model, tmp_path / "model.pt")
    loaded = removal.load(tmp_path / "model.pt")
    for found, expected in ((loaded.encoder, german), (loaded.decoder, task.target_dictionary)):
        assert found.dictionary.symbols == expected.symbols
        assert [int(c) for c in found.dictionary.count] == expected.count
        assert found.dictionary.pad() == expected.pad()


def test_checkpoint_is_plain_data(build: Build, tmp_path: Path) -> None:
    """torch reads it with weights_only=True and no class declared safe."""
    removal.save(build(), tmp_path / "model.pt")
    safe = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        state = torch.load(tmp_path / "model.pt", weights_only=True)
    finally:
        torch.serialization.add_safe_globals(safe)
    assert state["headprune"]["format"] == removal.FORMAT


def test_fairseq_loads_the_checkpoint_itself(
    build: Build, batch: Batch, logits: Logits, tmp_path: Path, task: Namespace
) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([1, 3, 8, 9, 22]))
    removal.save(pruned, tmp_path / "model.pt")
    state = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "model.pt"))
    assert state["cfg"]["model"]["arch"] == "headprune_transformer"
    rebuilt = HeadpruneTransformer.build_model(Namespace(**state["cfg"]["model"]), task).eval()
    rebuilt.load_state_dict(state["model"])
    assert torch.equal(logits(rebuilt, batch), logits(pruned, batch))


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_refused_and_never_run(build: Build, tmp_path: Path) -> None:
    removal.save(build(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    ran = tmp_path / "ran"
    state["cfg"]["model"]["dropout"] = Payload(ran)
    torch.save(state, tmp_path / "zip.pt")
    torch.save(state, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(state))
    for name in ("zip", "legacy", "pickle"):
        with pytest.raises(ValueError, match=f"{name}.pt is refused: it holds more than tensors and plain data"):
            removal.load(tmp_path / f"{name}.pt")
        assert not ran.exists()
    torch.load(tmp_path / "zip.pt", weights_only=False)
    assert ran.exists()  # so the payload was a live one


def stock_checkpoint(path: Path, model: Any) -> None:
    torch.save({"args": None, "cfg": {"model": Namespace(arch="transformer")}, "model": model.state_dict()}, path)


def tensors(path: Path, model: Any) -> None:
    torch.save(model.state_dict(), path)


def one_tensor(path: Path, model: Any) -> None:
    torch.save(torch.ones(3), path)


def other_format(path: Path, model: Any) -> None:
    torch.save({"headprune": {"format": 99}}, path)


def odd_format(path: Path, model: Any) -> None:
    torch.save({"headprune": "yes"}, path)


def truncated(path: Path, model: Any) -> None:
    removal.save(model, path)
    path.write_bytes(path.read_bytes()[:-2000])


def text(path: Path, model: Any) -> None:
    path.write_text("not a checkpoint\n")


def nothing(path: Path, model: Any) -> None:
    path.write_bytes(b"")


FOREIGN = (stock_checkpoint, tensors, one_tensor, other_format, odd_format, truncated, text, nothing)


@pytest.mark.parametrize("write", FOREIGN, ids=lambda write: write.__name__)
def test_foreign_files_are_refused(build: Build, tmp_path: Path, write: Callable[[Path, Any], None]) -> None:
    path = tmp_path / "foreign.pt"
    write(path, build())
    with pytest.raises(ValueError, match="foreign.pt is"):
        removal.load(path)


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        removal.load(tmp_path / "nothing.pt")


def test_failed_saving_leaves_nothing_behind(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary file; and a checkpoint that was there stays what it was."""

    def full_disk(state: Any, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    removal.save(build(), tmp_path / "old.pt")
    before = (tmp_path / "old.pt").read_bytes()
    monkeypatch.setattr(torch, "save", full_disk)
    for name in ("old.pt", "new.pt"):
        with pytest.raises(OSError, match="No space left"):
            removal.save(build(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.pt"]
    assert (tmp_path / "old.pt").read_bytes() == before


def test_saving_makes_the_folder_and_overwrites(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "model.pt"
    removal.save(build(seed=1), path)
    removal.save(build(seed=2), str(path))
    assert torch.equal(logits(removal.load(str(path)), batch), logits(build(seed=2), batch))
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


def test_checkpoint_is_as_readable_as_any_other_file(build: Build, tmp_path: Path) -> None:
    """Others of the group can use it: the temporary file's private mode does not stay."""
    removal.save(build(), tmp_path / "model.pt")
    (tmp_path / "other").touch(mode=0o644)
    assert (tmp_path / "model.pt").stat().st_mode & 0o044 == (tmp_path / "other").stat().st_mode & 0o044


def test_saving_leaves_the_model_as_it_is(build: Build, tmp_path: Path, unchanged: Callable[[Any], Any]) -> None:
    model = build().train()
    with unchanged(model):
        removal.save(model, tmp_path / "model.pt")


def test_stock_models_can_be_pruned_and_saved(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    """A model trained with fairseq alone."""
    model = build(stock=True)
    assert type(model) is TransformerModel
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([2, 7, 9, 20]))
    removal.save(pruned, tmp_path / "model.pt")
    assert torch.equal(logits(removal.load(tmp_path / "model.pt"), batch), logits(pruned, batch))


# other output projections


def projections(model: Any, *modules: str) -> dict[str, OutputProjection]:
    """Random parameters of the right shapes."""
    generator = torch.Generator().manual_seed(5)

    def like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    linears = {point.name: point.module.out_proj for point in attention_points(model)}
    return {name: OutputProjection(like(linears[name].weight), like(linears[name].bias)) for name in modules}


def test_reconstructed_is_a_copy_with_these_projections(build: Build, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    outputs = projections(model, "encoder.1", "cross.0")
    with unchanged(model):
        changed = removal.reconstructed(model, outputs)
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in changed.parameters()}
    expected = dict(model.state_dict())
    for path, name in (("encoder.layers.1.self_attn", "encoder.1"), ("decoder.layers.0.encoder_attn", "cross.0")):
        expected |= {f"{path}.out_proj.weight": outputs[name].weight, f"{path}.out_proj.bias": outputs[name].bias}
    found = changed.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_projection_without_a_bias_leaves_that_of_the_module(build: Build) -> None:
    model = build()
    weight = projections(model, "cross.1")["cross.1"].weight
    changed = removal.reconstructed(model, {"cross.1": OutputProjection(weight, None)})
    before, after = (m.decoder.layers[1].encoder_attn.out_proj for m in (model, changed))
    assert torch.equal(after.weight, weight)
    assert torch.equal(after.bias, before.bias)


def test_without_new_projections_nothing_is_copied(build: Build) -> None:
    model = build()
    assert removal.reconstructed(model, {}) is model


def test_projections_that_do_not_fit_are_refused(build: Build, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    good = projections(model, "cross.0")["cross.0"]
    bad = {
        "new output projection of 'cross.2': the model has encoder.0, encoder.1, cross.0": {"cross.2": good},
        r"new weight of cross.0 has shape \(32, 24\), the module's has \(32, 32\)": {
            "cross.0": OutputProjection(good.weight[:, :24], good.bias)
        },
        r"new bias of cross.0 has shape \(1, 32\), the module's has \(32,\)": {
            "cross.0": OutputProjection(good.weight, good.bias.unsqueeze(0))
        },
    }
    for message, outputs in bad.items():
        with unchanged(model), pytest.raises(ValueError, match=message):
            removal.reconstructed(model, {"encoder.0": projections(model, "encoder.0")["encoder.0"]} | outputs)


def test_an_emptied_module_has_no_projection_to_change(build: Build) -> None:
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.0"))
    with pytest.raises(ValueError, match="new output projection of 'cross.0': the model has"):
        removal.reconstructed(pruned, projections(model, "cross.0"))


# growing heads back


@NORMS
def test_a_regrown_model_under_the_mask_is_the_pruned_one(
    build: Build, batch: Batch, logits: Logits, random_mask: RandomMask, pre_norm: bool
) -> None:
    """Largest difference of a logit below 1e-5; noise tells the weights of the pruned model from those it came from."""
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    kept = (
        without(space, "cross.0", "encoder.1"),
        space.keep([]),
        space.full,
        *(random_mask(space, k) for k in (3, 15)),
    )
    for mask in kept:
        pruned = removal.remove_heads(model, mask)
        with torch.no_grad():
            for parameter in pruned.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9))
        whole = removal.regrown(pruned)
        assert HeadSpace.of(whole) == space
        assert not whole.training
        set_mask(whole, mask)
        assert (logits(whole, batch) - logits(pruned, batch)).abs().max() < TOLERANCE
        again = removal.remove_heads(whole, mask).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in pruned.state_dict().items())


def test_regrown_heads_are_new_ones(build: Build, unchanged: Callable[[Any], Any]) -> None:
    """Neither those that were removed nor nothing at all; and the pruned model stays what it is."""
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.0"))
    with unchanged(pruned):
        whole = removal.regrown(pruned)
    rows = whole.decoder.layers[0].encoder_attn.q_proj.weight
    assert (rows.abs().sum(1) > 0).all()
    assert not torch.equal(rows, model.decoder.layers[0].encoder_attn.q_proj.weight)
