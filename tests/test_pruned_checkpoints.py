"""Pruned models on disk: what comes back, what is refused, and no code in them."""

from __future__ import annotations

import dataclasses
import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from model_families import classifier, language_model
from torch import Tensor

from headprune import removal
from headprune.cost import parameters
from headprune.gates import set_mask
from headprune.heads import HeadMask, HeadSpace
from headprune.models import HeadpruneTransformer
from headprune.system.files import passes
from tests.found import Found, rows

Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
RandomMask = Callable[..., HeadMask]


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=2, size=6)


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
    """Dictionaries of different languages come back in their order, with their counts."""
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
    path.write_text("not a checkpoint\n", encoding="utf-8")


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

    def full_disk(state: Any, stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError("No space left on device")

    removal.save(build(), tmp_path / "old.pt")
    before = (tmp_path / "old.pt").read_bytes()
    monkeypatch.setattr(torch, "save", full_disk)
    for name in ("old.pt", "new.pt"):
        with pytest.raises(OSError, match="No space left"):
            removal.save(build(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.pt"]
    assert (tmp_path / "old.pt").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_by_the_systems_error(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ends by it may go on later; torch has an error of its own for a path."""
    monkeypatch.setattr(removal, "replacing", lambda path: nullcontext(Path("/dev/full")))
    with pytest.raises(OSError, match="No space left on device") as error:
        removal.save(build(), "model.pt")
    assert passes(error.value)


def test_the_same_model_is_the_same_file(build: Build, tmp_path: Path) -> None:
    model = build()
    for name in ("one.pt", "other.pt"):
        removal.save(model, tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


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


class Variety(TransformerModel):
    """A Transformer that computes something else."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output, extra = super().forward(*args, **kwargs)
        return 2 * output, extra


@rows(
    Found("transformer_lm", "AttributeError: encoder", "TransformerLanguageModel", "clear error", language_model),
    Found("a classifier", "AttributeError: decoder", "Classifier", "clear error", classifier),
    Found("a variety of the Transformer", "read back as a stock one", "Variety", "clear error", None),
)
def test_models_of_other_kinds_are_refused(build: Build, dictionary: Any, tmp_path: Path, found: Found) -> None:
    """The refusal names what can be saved; they can be pruned, as everything with attention can."""
    model = build(stock=True) if found.case is None else found.case(dictionary)
    if found.case is None:
        model.__class__ = Variety
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 5]))
    message = f"no checkpoint format for {found.right}; there is one for fairseq's TransformerModel and for Headprune"
    with pytest.raises(ValueError, match=message):
        removal.save(pruned, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        removal.regrown(pruned)


def test_stock_models_can_be_pruned_and_saved(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    """A model trained with fairseq alone."""
    model = build(stock=True)
    assert type(model) is TransformerModel
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([2, 7, 9, 20]))
    removal.save(pruned, tmp_path / "model.pt")
    assert torch.equal(logits(removal.load(tmp_path / "model.pt"), batch), logits(pruned, batch))


class Brought(HeadpruneTransformer):
    """A model of a class that the library does not know."""


OF_A_TASK = dataclasses.replace(removal.TRANSLATION, architecture="brought", model=Brought)


def test_tasks_bring_checkpoints_of_their_own(
    build: Build, batch: Batch, logits: Logits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "CHECKPOINTS", [f"{__name__}:OF_A_TASK"])
    model = build()
    model.__class__ = Brought
    removal.save(model, tmp_path / "model.pt")
    loaded = removal.load(tmp_path / "model.pt")
    assert type(loaded) is Brought
    assert torch.equal(logits(loaded, batch), logits(model, batch))
