"""The page docs/from-python.md: every block of code runs, in order, and the loader computes what the model does."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from hypothesis import given, settings
from hypothesis import strategies as st
from model_families import for_language_model, language_model, noisy
from safetensors.torch import load_file
from torch import Tensor

import headprune
from headprune import removal
from headprune.cost import parameters
from headprune.data.binarise import binarise
from headprune.gates import set_mask
from headprune.heads import HeadSpace

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-python.md"
TOLERANCE = 1e-5  # of logits, fp32
Build = Callable[..., Any]
Batch = dict[str, Any]


HISTORY = {
    "optimizer_history": [{"optimizer_name": "adam", "lr_scheduler_state": {}, "num_updates": 0}],
    "extra_state": {"train_iterator": {"epoch": 1}},
}  # of the training, which fairseq wants to see


def blocks() -> list[str]:
    return re.findall(r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def loader() -> dict[str, Any]:
    """The functions of the block that reads a plain export."""
    (code,) = (block for block in blocks() if "load_file" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    assert not re.search(r"fairseq|headprune", code)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of a translation model and its checkpoint, in the form of older versions of fairseq."""
    (tmp_path / "pieces").mkdir()
    for split in ("train", "valid", "test"):
        for language in ("de", "en"):
            lines = [" ".join(f"{language}{(line + word) % 11}" for word in range(3 + line % 4)) for line in range(20)]
            (tmp_path / "pieces" / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    binarise(tmp_path / "pieces", tmp_path / "data-bin", "de", "en", joined=True)
    words = Dictionary.load(str(tmp_path / "data-bin" / "dict.de.txt"))
    given = Namespace(arch="transformer", task="translation", data="elsewhere", share_all_embeddings=True)
    for part in ("encoder", "decoder"):
        for name, size in (("embed_dim", 16), ("ffn_embed_dim", 24), ("attention_heads", 4), ("layers", 2)):
            setattr(given, f"{part}_{name}", size)
    model = TransformerModel.build_model(given, Namespace(source_dictionary=words, target_dictionary=words))
    torch.save({"args": given, "model": model.state_dict(), **HISTORY}, tmp_path / "checkpoint_best.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_from_top_to_bottom(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for code in blocks():
        exec(compile(code, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("12 of 24 heads: {'encoder.0': ")
    assert len(HeadSpace.of(removal.load("pruned.pt"))) == 12
    batch = names["batches"][0]
    inputs = batch["net_input"]
    found = names["logits"](*names["load"]("exported"), inputs["prev_output_tokens"], inputs["src_tokens"])
    with torch.no_grad():
        assert_equal_logits(found, names["result"].model.eval()(**inputs)[0], batch["target"])


VARIETIES: dict[str, dict[str, Any]] = {
    "post-norm": {},
    "pre-norm": {"pre_norm": True},
    "stock": {"stock": True},
    "untied": {"share_all_embeddings": False, "activation_fn": "gelu"},
    "output tied": {"share_all_embeddings": False, "share_decoder_input_output_embed": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True, "max_source_positions": 64},
    "no positions": {"no_token_positional_embeddings": True, "no_scale_embedding": True},
    "norm of embeddings": {"layernorm_embedding": True, "activation_fn": "tanh", "pre_norm": True},
    "no norm at the end": {"pre_norm": True, "no_decoder_final_norm": True},
    "norms unlike": {"decoder_normalize_before": True},
    "uneven": {
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_embed_dim": 24,
        "share_all_embeddings": False,
    },
}


def assert_equal_logits(found: Tensor, expected: Tensor, target: Tensor) -> None:
    kept = target.ne(1)
    torch.testing.assert_close(found[kept], expected[kept], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", VARIETIES)
def test_the_export_computes_what_the_pruned_model_does(
    build: Build, make_batch: Callable[..., Batch], tmp_path: Path, name: str
) -> None:
    """Largest difference of logits at positions that are no padding, of sources padded on the left and targets on the
    right, 1e-5."""
    batch = make_batch(3, size=4)
    inputs = batch["net_input"]
    result = headprune.prune(build(**VARIETIES[name]), [batch], keep="60%", min_per_module=1)
    headprune.export(result.model, tmp_path)
    reader = loader()
    layout, tensors = reader["load"](tmp_path)
    found = reader["logits"](layout, tensors, inputs["prev_output_tokens"], inputs["src_tokens"])
    with torch.no_grad():
        assert_equal_logits(found, result.model(**inputs)[0], batch["target"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


@settings(max_examples=10)
@given(kept=st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=6, max_size=6), pre_norm=st.booleans())
def test_any_heads_may_be_left(
    build: Build, make_batch: Callable[..., Batch], tmp_path_factory: Any, kept: list[set[int]], pre_norm: bool
) -> None:
    """Any one or more heads of each of the six modules; tolerance as above."""
    batch, folder = make_batch(4, size=2), tmp_path_factory.mktemp("exported")
    model = build(pre_norm=pre_norm)
    mask = HeadSpace.of(model).keep(4 * module + head for module, heads in enumerate(kept) for head in heads)
    headprune.export(removal.remove_heads(model, mask), folder)
    reader, inputs = loader(), batch["net_input"]
    found = reader["logits"](*reader["load"](folder), inputs["prev_output_tokens"], inputs["src_tokens"])
    set_mask(model, mask)
    with torch.no_grad():
        assert_equal_logits(found, model(**inputs)[0], batch["target"])


def test_a_language_model_is_exported(dictionary: Dictionary, make_batch: Callable[..., Batch], tmp_path: Path) -> None:
    batch = for_language_model(make_batch(3, size=4))
    result = headprune.prune(language_model(dictionary), [batch], keep=5, min_per_module=1)
    headprune.export(result.model, tmp_path)
    reader = loader()
    found = reader["logits"](*reader["load"](tmp_path), batch["net_input"]["src_tokens"])
    with torch.no_grad():
        assert_equal_logits(found, result.model(**batch["net_input"])[0], batch["target"])


def test_the_layout_describes_every_tensor(build: Build, make_batch: Callable[..., Batch], tmp_path: Path) -> None:
    """Shapes are those of the file, values count as often as parameters of the model, positions aside."""
    result = headprune.prune(build(), [make_batch()], keep=9, min_per_module=1)
    headprune.export(result.model, tmp_path)
    layout = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    tensors = load_file(tmp_path / "model.safetensors")
    assert {name: entry["shape"] for name, entry in layout["tensors"].items()} == {
        name: list(tensor.shape) for name, tensor in tensors.items()
    }
    assert all(entry["what"] for entry in layout["tensors"].values())
    stored = sum(tensor.numel() for name, tensor in tensors.items() if "positions" not in name)
    assert stored == parameters(result.model)
    assert set(layout["same"].values()) == {"encoder.embed_tokens.weight"}
    assert sum(map(len, layout["heads"].values())) == 9
    assert layout["encoder"]["vocabulary"][:5] == ["<s>", "<pad>", "</s>", "<unk>", "w0"]
    told = PAGE.read_text(encoding="utf-8")
    assert all(f"`{key}`" in told for key in [*layout, *layout["encoder"], *layout["symbols"]])


def adaptive_language_model(words: Dictionary) -> Any:
    sizes = Namespace(decoder_embed_dim=16, decoder_layers=1, decoder_attention_heads=4, tokens_per_sample=64)
    sizes.adaptive_softmax_cutoff = "20"
    base_lm_architecture(sizes)
    task = Namespace(source_dictionary=words, target_dictionary=words)
    return noisy(TransformerLanguageModel.build_model(sizes, task))


REFUSED: dict[str, tuple[Callable[[Build, Dictionary], Any], str]] = {
    "a module without heads": (
        lambda build, words: removal.remove_heads(build(), HeadSpace.of(build()).keep(range(20))),
        r"cross\.|decoder\.1 has no heads.*min_per_module=1",
    ),
    "another architecture": (lambda build, words: torch.nn.Linear(2, 2), "no plain export of Linear"),
    "an adaptive softmax": (
        lambda build, words: adaptive_language_model(words),
        "no name for decoder.adaptive_softmax",
    ),
    "an activation": (lambda build, words: build(activation_fn="gelu_accurate"), "activation is 'gelu_accurate'"),
    "attention to both sides": (
        lambda build, words: build(cross_self_attention=True, no_cross_attention=True),
        "cross_self_attention",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_layout_does_not_describe_is_refused(
    build: Build, dictionary: Dictionary, tmp_path: Path, name: str
) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        headprune.export(make(build, dictionary), tmp_path / "exported")
    assert not list(tmp_path.iterdir())
