"""Broken methods that learn gates, each refused for its reason."""

from __future__ import annotations

import pytest
from plug_ins import CheckBody, failure, gates

BROKEN_GATES = {
    "wrong K": (
        "def keep(self, budget): return self.largest(self.logits, max(budget - 1, 0))",
        "every budget",
        "keeps 0",
    ),
    "gates from nowhere": (
        "def sample(self, progress): return torch.ones(len(self.space))",
        "gates and their gradients",
        "sample() does not depend on the parameters at update 0",
    ),
    "infinite gates": (
        "def sample(self, progress): return self.logits.exp()",
        "gates and their gradients",
        "sample() is not finite",
    ),
    "infinite gradients": (
        "def sample(self, progress): return (self.logits * 0).sqrt()",
        "gates and their gradients",
        "the gradient of sample() and penalty() is not finite at update 0",
    ),
    "one gate too many": (
        "def sample(self, progress): return torch.cat([self.logits, self.logits[:1]])",
        "gates and their gradients",
        "sample() gives (11,) for 10 heads",
    ),
    "global random numbers": (
        "def sample(self, progress): return (self.logits + torch.randn(len(self.space))).sigmoid()",
        "depend on progress",
        "two draws of one generator differ at update 0",
    ),
    "global initial values": (
        "def build(self, generator): self.logits = torch.nn.Parameter(torch.rand(len(self.space)).double())",
        "depend on progress",
        "start from different parameters",
    ),
    "state outside the checkpoint": (
        """
        def sample(self, progress):
            self.draws = getattr(self, "draws", 0) + 1
            return (self.logits + self.draws).sigmoid()
        """,
        "a resumed training",
        "after saving and loading, the same generator draws other gates",
    ),
    "count outside the checkpoint": (
        """
        def penalty(self, progress):
            self.calls = getattr(self, "calls", 0) + 1
            return self.calls * self.logits.square().sum()
        """,
        "a resumed training",
        "stopped at update 3 and resumed, it ends with other values of ",
    ),
    "gates that learn nothing": (
        "def sample(self, progress): return 1 + 0 * self.logits",
        "a frozen model",
        "no parameter of the gates moves",
    ),
    "single precision": (
        "def build(self, generator): self.logits = torch.nn.Parameter(torch.zeros(len(self.space)))",
        "float64",
        "parameter logits is torch.float32",
    ),
    "cooldown": ("def cooldown(self, total): return 0.5 * total", "settle", "cooldown(1) is 0.5"),
    "schedule": (
        "quantity = 'sharpness'\ndef scheduled(self, update, total): return total / update if update else float('inf')",
        "schedule of a curve",
        "scheduled(0, 1) is inf",
    ),
    "schedule of nothing": ("quantity = 'sharpness'", "schedule of a curve", "`scheduled` is not overridden"),
    "mode": ("modes = ('pipelined', 'later')", "are declared", "modes is ('pipelined', 'later')"),
    "coefficient": ("coefficient = 'strength'", "are declared", "coefficient is 'strength'"),
    "scope ignored": (
        """
        def keep(self, budget):
            chosen = top_k(self.logits, budget).nonzero().flatten().tolist()
            return self.space.keep(chosen)
        """,
        "honour a scope",
        "at least 1 a module",
    ),
}


@pytest.mark.parametrize(("body", "title", "reason"), BROKEN_GATES.values(), ids=BROKEN_GATES.keys())
def test_broken_gates_are_refused(check_body: CheckBody, body: str, title: str, reason: str) -> None:
    assert reason in failure(check_body(gates(body)), title).text


def test_a_pipelined_method_has_parameters(check_body: CheckBody) -> None:
    body = """
    def build(self, generator): pass
    def sample(self, progress): return torch.ones(len(self.space))
    def keep(self, budget): return self.space.keep(range(budget))
    """
    report = check_body(gates(body))
    assert "no parameters" in failure(report, "a frozen model").text


def test_a_method_that_is_not_exact_says_what_it_keeps(check_body: CheckBody) -> None:
    body = """
    exact = False
    def keep(self, budget): return self.space.full
    """
    report = check_body(gates(body))
    assert report.passed, report
    (counts,) = [result for result in report.results if "every budget" in result.title]
    assert counts.text.startswith("not exact, as declared; untrained it keeps 10 heads at K = 0, 10 heads at K = 1")
