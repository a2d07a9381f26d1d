"""The contract suite: what it lets through, and what it refuses for which reason."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.check import Report, Result, check_file
from headprune.method.registry import BUILT_IN

SCORER = """
@register("mine", paper="Someone 2026")
class Mine(ScoreMethod):
    "Scores."
"""
GATES = """
@register("mine", paper="Someone 2026")
class Mine(GateMethod):
    "Gates."

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.1, "of the logits")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def sample(self, progress):
        return straight_through(top_k(self.logits, self.budget), self.logits.sigmoid())

    def keep(self, budget):
        return self.largest(self.logits, budget)
"""

CheckBody = Callable[[str], Report]
Write = Callable[..., Path]


def scorer(methods: str) -> str:
    return SCORER + textwrap.indent(textwrap.dedent(methods), "    ")


def gates(methods: str) -> str:
    return GATES + textwrap.indent(textwrap.dedent(methods), "    ")


def failure(report: Report, title: str) -> Result:
    """The one failed check whose title contains these words."""
    (found,) = [result for result in report.failures if title in result.title]
    return found


CORRECT = scorer(
    """
    @dataclass(frozen=True)
    class Options:
        share: float = option(0.5, "weight of the gradient; the rest is noise")

    def scores(self, model, batches, rng):
        noise = torch.rand(len(HeadSpace.of(model)), generator=rng)
        return self.options.share * head_importance(model, batches) + (1 - self.options.share) * noise
    """
)


def test_a_correct_plug_in_passes(check_body: CheckBody) -> None:
    report = check_body(CORRECT)
    assert len(CORRECT.splitlines()) < 20
    assert report.passed, report
    assert {result.status for result in report.results} == {"passed"}


def test_correct_gates_pass(check_body: CheckBody) -> None:
    report = check_body(GATES)
    assert report.passed, report
    assert {result.status for result in report.results} == {"passed"}


@pytest.mark.parametrize("file", sorted(BUILT_IN.glob("*.py")), ids=lambda file: file.stem)
def test_every_method_of_the_repository_passes(file: Path) -> None:
    for report in check_file(file):
        assert report.passed, report


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


def test_a_plug_in_that_opens_files_is_refused(check_body: CheckBody, tmp_path: Path) -> None:
    """Whether it goes by name, by numpy, or hides its traces; a file that is not there counts, too."""
    secret, absent = tmp_path / "test.fr", tmp_path / "test.de"
    secret.write_text("1 2")
    body = f"""
    def scores(self, model, batches, rng):
        numpy.loadtxt({str(secret)!r})
        try:
            open({str(absent)!r})
        except OSError:
            pass
        return torch.arange(len(HeadSpace.of(model)))
    """
    report = check_body(scorer(body))
    assert [result.title for result in report.failures] == ["no file is opened"]
    found = failure(report, "no file")
    assert found.text == f"asks for test data or files: opens {secret}, {absent}"
    assert "sees only the batches" in found.remedy


def test_the_embedded_corpora_are_no_library_files(check_body: CheckBody) -> None:
    body = """
    def scores(self, model, batches, rng):
        import gzip, pathlib, headprune
        for file in sorted(pathlib.Path(headprune.__file__).parent.glob("data/embedded/*/test.tsv.gz")):
            gzip.open(file).read(1)
        return torch.arange(len(HeadSpace.of(model)))
    """
    assert "bible-fr-en/test.tsv.gz" in failure(check_body(scorer(body)), "no file").text


def test_files_opened_at_import_count(check_body: CheckBody, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("")
    body = f"WORDS = open({str(tmp_path / 'words')!r}).read()\n" + CORRECT
    assert str(tmp_path / "words") in failure(check_body(body), "no file").text


def test_programs_count_as_files(check_body: CheckBody) -> None:
    body = """
    def scores(self, model, batches, rng):
        import subprocess
        subprocess.run(["true"])
        return torch.arange(len(HeadSpace.of(model)))
    """
    assert "subprocess.Popen(" in failure(check_body(scorer(body)), "no file").text


def test_passes_are_counted(write: Write) -> None:
    """Three losses with a graph and two without, of each of two batches: 3 + 2 / 3 passes."""
    file = write(
        scorer(
            """
            def scores(self, model, batches, rng):
                for batch in batches:
                    for _ in range(3):
                        example_losses(model, batch)
                    with torch.no_grad():
                        for _ in range(2):
                            example_losses(model, batch)
                return torch.arange(len(HeadSpace.of(model)))
            """
        )
    )
    (report,) = check_file(file, factor=3.7)
    (cost,) = [result for result in report.results if "costs" in result.title]
    assert (cost.status, cost.text[:11]) == ("passed", "3.7 times o")
    (report,) = check_file(file, factor=3.6)
    assert failure(report, "costs").text.startswith("costs 3.7 times one forward and backward pass")


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


def test_failures_do_not_stop_other_checks(check_body: CheckBody) -> None:
    report = check_body(scorer("def scores(self, model, batches, rng): return torch.zeros(24)"))
    status = {result.title: result.status for result in report.results}
    assert len(report.failures) == 1
    assert status["the file imports only what a method may"] == "passed"
    assert status["one seed gives one result"] == "unreached"


def test_long_files_get_a_note(check_body: CheckBody) -> None:
    report = check_body(CORRECT + "\n# …" * 120)
    assert report.passed
    assert "lines; most methods fit into 100" in report.results[0].text


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


def test_the_example_of_the_manual_passes(tmp_path: Path) -> None:
    manual = (BUILT_IN.parent / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    file = tmp_path / "output_norm.py"
    file.write_text(manual.split("```python\n")[1].split("```")[0], encoding="utf-8")
    (report,) = check_file(file)
    assert report.passed, report
