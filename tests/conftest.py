"""Tiny models and random batches for all tests. One thread, and the same hypothesis examples in every run."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
import torch.nn.functional as F
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from hypothesis import settings

from headprune.heads import HeadMask, HeadSpace
from headprune.models import HeadpruneTransformer

torch.set_num_threads(1)
settings.register_profile("headprune", deadline=None, derandomize=True)
settings.load_profile("headprune")

Build = Callable[..., Any]
Batch = dict[str, Any]

SIZES = {
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "encoder_layers": 2,
    "decoder_embed_dim": 32,
    "decoder_ffn_embed_dim": 48,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
    "share_all_embeddings": True,
}
PRE_NORM = {"encoder_normalize_before": True, "decoder_normalize_before": True}


@pytest.fixture
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test runs in an empty folder, which is empty afterwards."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert not list(folder.iterdir())


@pytest.fixture(scope="session")
def dictionary() -> Dictionary:
    """40 words and fairseq's four special symbols."""
    words = Dictionary()
    for number in range(40):
        words.add_symbol(f"w{number}", n=40 - number)
    return words


def shake(model: Any, seed: int) -> None:
    """Adds noise to every parameter: as fairseq initialises them, biases are 0 and layer norms the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


@pytest.fixture(scope="session")
def task(dictionary: Dictionary) -> Namespace:
    """The attributes of a task that fairseq's models want."""
    return Namespace(source_dictionary=dictionary, target_dictionary=dictionary)


@pytest.fixture(scope="session")
def build(task: Namespace) -> Build:
    """`build(seed, **arguments)`: a tiny headprune_transformer in evaluation mode, N = 24 unless told otherwise.

    `pre_norm=True` for pre-norm, `stock=True` for fairseq's own class: of one seed the two have equal weights.
    """

    def build(seed: int = 1, *, stock: bool = False, pre_norm: bool = False, **arguments: Any) -> Any:
        torch.manual_seed(seed)
        chosen = SIZES | (PRE_NORM if pre_norm else {}) | arguments
        kind = TransformerModel if stock else HeadpruneTransformer
        model = kind.build_model(Namespace(**chosen), task)
        shake(model, seed)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def make_batch(dictionary: Dictionary) -> Callable[..., Batch]:
    """`make_batch(seed, size, longest)`: random sentence pairs of different lengths as fairseq collates them."""

    def make_batch(seed: int = 0, size: int = 5, longest: int = 8) -> Batch:
        generator = torch.Generator().manual_seed(seed)

        def sentence() -> torch.Tensor:
            length = int(torch.randint(2, longest, (), generator=generator))
            words = torch.randint(dictionary.nspecial, len(dictionary), (length,), generator=generator)
            return torch.cat([words, torch.tensor([dictionary.eos()])])

        return collate([sentence() for _ in range(size)], [sentence() for _ in range(size)], dictionary)

    return make_batch


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    """Seven sentence pairs in two batches."""
    return [make_batch(seed, size=size) for seed, size in ((1, 3), (2, 4))]


def collate(sources: list[torch.Tensor], targets: list[torch.Tensor], words: Dictionary, extra: int = 0) -> Batch:
    """Left-padded sources, right-padded targets, with `extra` columns of padding on both."""

    def pad(rows: list[torch.Tensor], left: bool) -> torch.Tensor:
        whole = torch.full((len(rows), max(map(len, rows)) + extra), words.pad())
        for line, row in zip(whole, rows, strict=True):
            line[slice(len(line) - len(row), None) if left else slice(len(row))] = row
        return whole

    return {
        "id": torch.arange(len(sources)),
        "nsentences": len(sources),
        "ntokens": sum(map(len, targets)),
        "net_input": {
            "src_tokens": pad(sources, left=True),
            "src_lengths": torch.tensor([len(row) for row in sources]),
            "prev_output_tokens": pad([torch.cat([row[-1:], row[:-1]]) for row in targets], left=False),
        },
        "target": pad(targets, left=False),
    }


@pytest.fixture(scope="session")
def rebatch(dictionary: Dictionary) -> Callable[..., list[Batch]]:
    """`rebatch(batch, size, extra)`: the same examples in batches of `size`, with extra columns of padding."""

    def rebatch(batch: Batch, size: int, extra: int = 0) -> list[Batch]:
        pad = dictionary.pad()
        sources = [row[row.ne(pad)] for row in batch["net_input"]["src_tokens"]]
        targets = [row[row.ne(pad)] for row in batch["target"]]
        starts = range(0, len(sources), size)
        return [collate(sources[i : i + size], targets[i : i + size], dictionary, extra) for i in starts]

    return rebatch


@pytest.fixture(scope="session")
def logits() -> Callable[[Any, Batch], torch.Tensor]:
    """Logits of a teacher-forced forward pass at all target positions that are not padding."""

    def logits(model: Any, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            output = model(**batch["net_input"])[0]
        return output[batch["target"].ne(model.decoder.dictionary.pad())]

    return logits


@pytest.fixture(scope="session")
def random_mask() -> Callable[..., HeadMask]:
    """`random_mask(space, kept, seed)`: a mask with exactly `kept` ones, at random places."""

    def random_mask(space: HeadSpace, kept: int, seed: int = 0) -> HeadMask:
        order = torch.randperm(len(space), generator=torch.Generator().manual_seed(seed))
        return space.keep(order[:kept].tolist())

    return random_mask


@pytest.fixture(scope="session")
def unchanged() -> Callable[[Any], Any]:
    """A context in which no weight, no gradient and no training flag of a model may change for good."""

    @contextmanager
    def unchanged(model: Any) -> Iterator[None]:
        weights = copy.deepcopy(model.state_dict())
        gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        modes = [module.training for module in model.modules()]
        wants = [p.requires_grad for p in model.parameters()]
        yield
        after = model.state_dict()
        assert list(after) == list(weights)
        assert all(torch.equal(after[key], weights[key]) for key in weights)
        for parameter, before in zip(model.parameters(), gradients, strict=True):
            assert (parameter.grad is None) if before is None else torch.equal(parameter.grad, before)
        assert [module.training for module in model.modules()] == modes
        assert [p.requires_grad for p in model.parameters()] == wants

    return unchanged


@pytest.fixture
def exact_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """fairseq computes softmax in fp32 even in a float64 model, too coarse for finite differences."""
    monkeypatch.setattr(utils, "softmax", lambda x, dim, onnx_trace=False: F.softmax(x, dim))
    monkeypatch.setattr(utils, "log_softmax", lambda x, dim, onnx_trace=False: F.log_softmax(x, dim))
