"""Broken methods that score heads, each refused for its reason."""

from __future__ import annotations

import pytest
from plug_ins import CheckBody, failure, scorer

BROKEN = {
    "wrong K": (
        """
        def masks(self, model, batches, budgets, rng):
            space = HeadSpace.of(model)
            return {k: space.keep(range(min(k + 1, len(space)))) for k in budgets}
        """,
        "every budget is met",
        "keeps 1 heads at K = 0, 2 heads at K = 1, 6 heads at K = 5, 10 heads at K = 9, 10 heads at K = 10",
        "keep exactly K heads",
    ),
    "NaN scores": (
        """
        def scores(self, model, batches, rng):
            return torch.arange(len(HeadSpace.of(model))) / 0.0
        """,
        "scores are one finite number",
        "scores() is NaN for 10 heads: encoder.0.0, encoder.0.1, encoder.1.0, encoder.1.1, …",
        "division by zero",
    ),
    "infinite scores": (
        """
        def scores(self, model, batches, rng):
            return torch.arange(len(HeadSpace.of(model))).log()
        """,
        "scores are one finite number",
        "scores() is infinite for 1 heads: encoder.0.0",
        "logarithm of zero",
    ),
    "wrong shape": (
        "def scores(self, model, batches, rng): return torch.zeros(24)",
        "scores are one finite number",
        "scores() has shape (24,), the model 10 heads",
        "a tensor (10,) here",
    ),
    "no tensor": (
        "def scores(self, model, batches, rng): return [1.0] * len(HeadSpace.of(model))",
        "scores are one finite number",
        "scores() returns a list, not a tensor",
        "return one number per head",
    ),
    "no ranking": (
        "def rank(self, model, batches, rng): return list(range(len(HeadSpace.of(model))))",
        "scores are one finite number",
        "rank() returns a list, not a Ranking",
        "return `Ranking(",
    ),
    "no masks": (
        "def masks(self, model, batches, budgets, rng): return {k: [1] * k for k in budgets}",
        "every budget is met",
        "masks() returns a list for budget 0",
        "`HeadSpace.of(model).keep(positions)` makes a mask",
    ),
    "budgets left out": (
        "def masks(self, model, batches, budgets, rng): return {0: HeadSpace.of(model).keep([])}",
        "every budget is met",
        "masks() returns nothing for the budgets 1, 5, 9, 10",
        "return {budget: mask}",
    ),
    "ties": (
        """
        def masks(self, model, batches, budgets, rng):
            space, scores = HeadSpace.of(model), model.state_dict()[list(model.state_dict())[-1]].new_zeros(0)
            from headprune.gates import head_blocks
            from headprune.heads import attention_points
            scores = torch.cat([head_blocks(p.module)["o"].flatten(1).norm(dim=1) for p in attention_points(model)])
            ordered = [*scores.sort(descending=True).values.tolist(), -1.0]
            limit = {k: (ordered[k] + ordered[k - 1]) / 2 if k else ordered[0] for k in budgets}
            return {k: space.keep([i for i in range(len(space)) if scores[i] > limit[k]]) for k in budgets}
        """,
        "equal heads",
        "equal heads",
        "break ties by position",
    ),
    "global random numbers": (
        "def scores(self, model, batches, rng): return torch.rand(len(HeadSpace.of(model)))",
        "one seed",
        "two calls with the same seed differ at K = 1",
        "draw every random number from `rng`",
    ),
    "numpy's random numbers": (
        "def scores(self, model, batches, rng): return torch.tensor(numpy.random.rand(len(HeadSpace.of(model))))",
        "one seed",
        "two calls with the same seed differ at",
        "draw every random number from `rng`",
    ),
    "Python's random numbers": (
        "def scores(self, model, batches, rng): return torch.tensor([random.random() for _ in HeadSpace.of(model)])",
        "one seed",
        "two calls with the same seed differ at",
        "draw every random number from `rng`",
    ),
    "mutated weights": (
        """
        def scores(self, model, batches, rng):
            with torch.no_grad():
                model.encoder.layers[0].self_attn.out_proj.weight[0, 0] += 1e-7 if hasattr(model, "encoder") else 0
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "left as it was",
        "changes weight encoder.layers.0.self_attn.out_proj.weight of the encoder-decoder",
        "declared by returning a `Pruning`",
    ),
    "gradients left behind": (
        """
        def scores(self, model, batches, rng):
            example_losses(model, batches[0]).sum().backward()
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "left as it was",
        "changes gradient of ",
        "torch.autograd.grad",
    ),
    "mode left behind": (
        """
        def scores(self, model, batches, rng):
            model.train()
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "left as it was",
        "changes mode of the model, ",
        "put it back",
    ),
    "gates left behind": (
        """
        def scores(self, model, batches, rng):
            from headprune.gates import set_mask
            set_mask(model, HeadSpace.of(model).keep([0]))
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "left as it was",
        "changes gates of encoder.0, ",
        "clear_mask(model)",
    ),
    "batches written to": (
        """
        def scores(self, model, batches, rng):
            batches[0]["target"][0] = 1
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "left as it was",
        "changes batches: target of the ",
        "do not write into batches",
    ),
    "scope ignored": (
        """
        def masks(self, model, batches, budgets, rng):
            return {k: HeadSpace.of(model).keep(range(k)) for k in budgets}
        """,
        "honour a scope",
        "protected by encoder-decoder; types cross, at least 0 a module",
        "self.scope.order",
    ),
    "encoder-decoder only": (
        "def scores(self, model, batches, rng): return torch.arange(model.encoder.layers[0].self_attn.num_heads * 5)",
        "runs on encoder-decoder",
        "has no attribute 'encoder' on the decoder-only (6 heads)",
        "ask `HeadSpace.of(model)`",
    ),
    "an exception": (
        "def scores(self, model, batches, rng): raise RuntimeError('no luck [today]')",
        "runs on encoder-decoder",
        "raises RuntimeError: no luck [today] on the encoder-decoder (10 heads)",
        "ask `HeadSpace.of(model)`",
    ),
    "update of no module": (
        """
        def masks(self, model, batches, budgets, rng):
            space = HeadSpace.of(model)
            new = OutputProjection(torch.zeros(12, 12), None)
            return {k: Pruning(Ranking(space, tuple(range(len(space)))).mask(k, self.scope), {"cross": new})
                    for k in budgets}
        """,
        "weight updates",
        "updates 'cross', which the encoder-decoder does not have",
        "encoder.0, encoder.1, cross.0, decoder.0",
    ),
    "update of another shape": (
        """
        def masks(self, model, batches, budgets, rng):
            ranking, space = Ranking.by_score, HeadSpace.of(model)
            new = OutputProjection(torch.zeros(12, 4), None)
            return {k: Pruning(ranking(space, torch.zeros(len(space))).mask(k, self.scope), {space.modules[0]: new})
                    for k in budgets}
        """,
        "weight updates",
        "the update of encoder.0 at budget 0 on the encoder-decoder: weight is (12, 4), not (12, 12)",
        "columns of removed heads",
    ),
    "mutable options": (
        """
        @dataclass
        class Options:
            p: float = option(2.0, "norm")

        def scores(self, model, batches, rng): return torch.arange(len(HeadSpace.of(model)))
        """,
        "every option",
        "Options is not a frozen dataclass",
        "frozen=True",
    ),
    "options without help": (
        """
        @dataclass(frozen=True)
        class Options:
            p: float = 2.0

        def scores(self, model, batches, rng): return torch.arange(len(HeadSpace.of(model)))
        """,
        "every option",
        "option 'p' has no help text",
        "option(DEFAULT, HELP)",
    ),
    "a space of values that are refused": (
        """
        @dataclass(frozen=True)
        class Options:
            p: float = option(2.0, "norm", space=Uniform(0, 4))

            def __post_init__(self):
                if self.p < 1:
                    raise ValueError(f"option 'p' is {self.p}; it must be at least 1")

        def scores(self, model, batches, rng): return torch.arange(len(HeadSpace.of(model)))
        """,
        "every value of their spaces",
        "the trial {'p': 0.0} is refused: method 'mine': option 'p' is 0.0; it must be at least 1",
        "narrow the spaces",
    ),
    "a space of another type": (
        """
        @dataclass(frozen=True)
        class Options:
            steps: int = option(2, "of it", space=LogUniform(1, 4))

        def scores(self, model, batches, rng): return torch.arange(len(HeadSpace.of(model)))
        """,
        "every value of their spaces",
        "it must be int like its default 2",
        "narrow the spaces",
    ),
    "framework's data": (
        """
        def scores(self, model, batches, rng):
            from headprune.data import corpus
            return torch.arange(len(HeadSpace.of(model)))
        """,
        "imports only",
        "imports headprune.data.corpus: asks for test data, paths or settings",
        "use what the method is given",
    ),
}


@pytest.mark.parametrize(("body", "title", "reason", "remedy"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plug_in_is_refused(check_body: CheckBody, body: str, title: str, reason: str, remedy: str) -> None:
    found = failure(check_body(scorer(body)), title)
    assert reason in found.text
    assert remedy in found.remedy


def test_a_method_that_raises_on_equal_heads_only_is_refused(check_body: CheckBody) -> None:
    body = """
    def scores(self, model, batches, rng):
        scores = head_importance(model, batches).float()
        if len(scores.unique()) < len(scores):
            raise ArithmeticError("ties")
        return scores
    """
    found = failure(check_body(scorer(body)), "equal heads")
    assert found.text.startswith("raises ArithmeticError: ties (")
