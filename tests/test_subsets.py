"""The compiled subset sampler against the plain one: values and gradients within 1e-10 in float64, and without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from headprune.method.audit import watching
from headprune.relaxations import gumbel, plain_subset_sample, subset_sample, subsets
from headprune.results import provenance
from headprune.system import compiled

SIZES = [(24, 12), (144, 12), (144, 72), (144, 132), (6, 0), (6, 6), (1, 1)]
TEMPERATURES = [1000.0, 1.0, 0.1, 9e-4, 1e-8]  # the last two pass no gradient from pass to pass


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which nothing can be compiled."""
    monkeypatch.setattr(subsets, "library", lambda source: None)
    subsets._functions.cache_clear()
    yield
    subsets._functions.cache_clear()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder, and a process that has compiled nothing yet."""
    monkeypatch.setenv(compiled.CACHE, str(tmp_path))
    compiled.library.cache_clear()
    compiled._tell.cache_clear()
    yield tmp_path / "compiled"
    compiled.library.cache_clear()


def drawn(total: int, draws: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, noise, and the derivative of a loss in the gates."""
    generator = torch.Generator().manual_seed(seed)
    logits, pull = (torch.randn(*draws, total, generator=generator, dtype=torch.float64) for _ in range(2))
    return logits.requires_grad_(), gumbel((*draws, total), generator), pull


def compiles() -> bool:
    return subsets.available()


needs_compiler = pytest.mark.skipif(not compiles(), reason="no C compiler on this machine")


@needs_compiler
@pytest.mark.parametrize("draws", [(), (7,), (2, 3)], ids=["one draw", "a batch", "a batch of batches"])
@pytest.mark.parametrize("tau", TEMPERATURES)
@pytest.mark.parametrize(("total", "budget"), SIZES)
def test_compiled_and_plain_sampler_agree(total: int, budget: int, tau: float, draws: tuple[int, ...]) -> None:
    """Gates within 1e-10, gradients within 1e-10 of the largest."""
    logits, noise, pull = drawn(total, draws, seed=budget)
    gates, plain = (sampler(logits, budget, tau, noise) for sampler in (subset_sample, plain_subset_sample))
    torch.testing.assert_close(gates, plain, rtol=0, atol=1e-10)
    found, expected = (torch.autograd.grad((each * pull).sum(), logits)[0] for each in (gates, plain))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * max(1.0, float(expected.abs().max())))


@needs_compiler
def test_a_batch_of_draws_is_its_draws_one_by_one() -> None:
    """Bit for bit; also of one vector of logits under several noises, and where torch maps over the batch."""
    logits, noise, pull = drawn(24, (5,), seed=1)
    whole = subset_sample(logits, 12, 0.1, noise)
    (gradient,) = torch.autograd.grad((whole * pull).sum(), logits)
    mapped = torch.func.vmap(lambda w, g: subset_sample(w, 12, 0.1, g))(logits, noise)
    assert torch.equal(mapped, whole)
    assert torch.equal(torch.autograd.grad((mapped * pull).sum(), logits)[0], gradient)
    for row in range(5):
        alone = logits[row].detach().requires_grad_()
        gates = subset_sample(alone, 12, 0.1, noise[row])
        assert torch.equal(gates, whole[row])
        assert torch.equal(torch.autograd.grad((gates * pull[row]).sum(), alone)[0], gradient[row])
    shared = subset_sample(logits[0], 12, 0.1, noise)
    assert torch.equal(shared[3], subset_sample(logits[0], 12, 0.1, noise[3]))


@needs_compiler
def test_the_derivative_can_be_mapped_over_losses() -> None:
    """The Jacobian, of one backward pass for every gate, against one by reverse mode through the plain sampler."""
    logits, noise, _ = drawn(8, (), seed=2)

    def jacobian(sampler) -> Tensor:
        return torch.func.jacrev(lambda w: sampler(w, 3, 0.5, noise))(logits.detach())

    torch.testing.assert_close(jacobian(subset_sample), jacobian(plain_subset_sample), rtol=0, atol=1e-10)


def test_without_a_compiler_it_is_the_plain_sampler(no_library: None) -> None:
    logits, noise, pull = drawn(24, (), seed=3)
    gates, plain = (sampler(logits, 12, 0.1, noise) for sampler in (subset_sample, plain_subset_sample))
    assert torch.equal(gates, plain)
    assert torch.equal(*(torch.autograd.grad((each * pull).sum(), logits)[0] for each in (gates, plain)))


def test_the_plain_sampler_can_be_differentiated_twice() -> None:
    logits, noise, _ = drawn(5, (), seed=4)
    assert torch.autograd.gradgradcheck(lambda w: plain_subset_sample(w, 2, 1.0, noise), logits)


@needs_compiler
def test_processes_that_compile_at_the_same_time_all_succeed(fresh: Path) -> None:
    code = "import torch; from headprune.relaxations import subsets; assert subsets.available()"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [path.suffix for path in fresh.iterdir()] == [".so"]


@needs_compiler
def test_a_method_may_be_the_first_to_need_it(fresh: Path) -> None:
    """Code that is watched for files and programs which it reaches for is blamed for none of the library's own."""
    subsets._functions.cache_clear()
    with watching() as seen:
        subset_sample(torch.zeros(3), 1, 1.0)
    assert list(fresh.iterdir())
    assert seen.opened == []
    with watching() as seen, fresh.parent.joinpath("file").open("w", encoding="utf-8"):
        assert not compiled.compiling()
    assert len(seen.opened) == 1


@needs_compiler
def test_the_next_compiler_is_tried_where_one_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = fresh.parent / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert compiled.library("int answer(void) { return 42; }").answer() == 42


def test_a_machine_without_functions_says_so_once_and_in_its_name(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Signatures are others there, since draws of dropout are."""
    named = provenance.hardware.__wrapped__
    usual = named()
    compiled.library.cache_clear()
    monkeypatch.setenv(compiled.CACHE, str(fresh.parent / "other"))
    monkeypatch.setattr(compiled, "COMPILERS", ())
    monkeypatch.delenv("CC", raising=False)
    for source in ("int answer(void) { return 42; }", "int question(void) { return 6 * 7; }"):
        assert compiled.library(source) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert named() == f"{usual.removesuffix(', without compiled functions')}, without compiled functions"


@needs_compiler
@pytest.mark.parametrize("source", ["no C", "int answer(void) { return 42; }"])
def test_what_does_not_compile_is_none(fresh: Path, source: str) -> None:
    found = compiled.library(source)
    assert found is None if source == "no C" else found.answer() == 42
    assert len(list(fresh.iterdir())) == (source != "no C")


def test_a_cache_that_cannot_be_written_is_none(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.parent.joinpath("file").write_text("", encoding="utf-8")
    monkeypatch.setenv(compiled.CACHE, str(fresh.parent / "file"))
    assert compiled.library("int answer(void) { return 42; }") is None
