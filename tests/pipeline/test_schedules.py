"""The schedules that the curves are drawn with are those that the methods train by."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from headprune.config import load
from headprune.config.schema import Config
from headprune.heads import HeadSpace
from headprune.method import GateMethod, load_methods
from headprune.method.base import Progress
from headprune.pipeline.collect import manifest
from headprune.pipeline.curves import Schedule, schedule
from headprune.pipeline.plan import Plan
from headprune.relaxations import open_probability

UPDATES = 20
ARCHITECTURE = {"width": 16, "feed_forward": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 4}  # N = 12
TINY = {"dataset": "help", "architecture": ARCHITECTURE, "training": {"updates": UPDATES}}
METHODS = [
    {"name": "dsp", "mode": "joint", "arm": "joint"},
    {"name": "ste", "mode": "joint", "arm": "plain"},
    {"name": "l0", "mode": "continued", "updates": UPDATES},
    {"name": "movement", "mode": "continued", "updates": UPDATES},
    {"name": "lagrangian_l0", "mode": "continued", "updates": UPDATES},
]


@pytest.fixture(scope="module")
def config() -> Config:
    settings = {"profile": "unit", "seeds": [1], "budgets": [5], "datasets": {"help": {"corpus": "lohelp-de-en"}}}
    return load(settings | {"models": {"tiny": TINY}, "methods": [{"name": "unpruned"}, *METHODS]})


def trained(config: Config, name: str) -> tuple[Schedule, GateMethod]:
    """The schedule of a training to 5 of 12 heads, and the method that it is of."""
    (method,) = (m for m in config.methods if m.name == name)
    entry = config.implementations()[name]
    space = config.models["tiny"].architecture.head_space
    return schedule(config, method, "tiny", 5, method.options), entry.method(space, 5, entry.options({}))


def progress(update: int) -> Progress:
    return Progress(update, UPDATES, torch.Generator().manual_seed(0))


def test_temperature_of_dsp(config: Config) -> None:
    """0.1 falls to 1e-8 over 23 % of 20 updates, 5: by 10^(7/5) an update."""
    found, _ = trained(config, "dsp")
    assert (found.updates, found.cooldown, found.quantity) == (20, 5, "temperature")
    for update in range(UPDATES):
        expected = 10 ** (-1 - 7 / 5 * min(update, 5))
        assert math.isclose(found.at(update) or 0, expected, rel_tol=1e-9)


def test_penalty_of_l0(config: Config) -> None:
    """The penalty that the method asks for, over what it asks for at λ = 1 and no warm-up."""
    found, method = trained(config, "l0")
    entry = config.implementations()["l0"]
    plain = entry.method(method.space, 5, entry.options({"penalty": 1.0, "warmup": 0.0}))
    plain.load_state_dict(method.state_dict())
    for update in range(UPDATES):
        ours, whole = method.penalty(progress(update)), plain.penalty(progress(update))
        assert isinstance(ours, torch.Tensor)
        assert isinstance(whole, torch.Tensor)
        expected = (ours / whole).item()
        assert math.isclose(found.at(update) or 0, expected, rel_tol=1e-6, abs_tol=1e-12)


def test_heads_that_movement_keeps(config: Config) -> None:
    found, method = trained(config, "movement")
    kept = [int(method.sample(progress(update)).sum()) for update in range(UPDATES)]
    assert [found.at(update) for update in range(UPDATES)] == kept
    assert kept[0] == 12
    assert kept[-1] == 5


def test_heads_that_the_lagrangian_asks_for(config: Config) -> None:
    """12 fall to 5 over a tenth of the updates."""
    found, _ = trained(config, "lagrangian_l0")
    assert [found.at(update) for update in range(4)] == [12, 8.5, 5, 5]
    assert found.quantity == "heads asked for"


TOY = """
from headprune.method import GateMethod, register


@register("toy_schedule")
class Toy(GateMethod):
    \"\"\"Gates of a sharpness that doubles.\"\"\"

    title = "Toy"
    family = "Learned gates: subsets"
    quantity = "sharpness"

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def scheduled(self, update, total):
        return 2.0**update / (update - 7) if update < 9 else None
"""


def test_a_method_from_elsewhere_has_its_curve(tmp_path: Path) -> None:
    """The curve reads what the file declares; a division by zero in it is told, and costs that point alone."""
    (tmp_path / "toy_schedule.py").write_text(TOY, encoding="utf-8")
    settings = {"profile": "unit", "seeds": [1], "budgets": [5], "datasets": {"help": {"corpus": "lohelp-de-en"}}}
    settings |= {"methods": [{"name": "unpruned"}, {"name": "toy_schedule", "mode": "joint"}]}
    config = load(settings | {"models": {"tiny": TINY}, "methods_directories": [str(tmp_path)]})
    found, _ = trained(config, "toy_schedule")
    assert (found.quantity, found.cooldown) == ("sharpness", 0)
    assert [found.at(update) for update in (0, 3, 8, 9)] == [-1 / 7, -2.0, 256.0, None]
    with pytest.warns(RuntimeWarning, match=r"'toy_schedule': the curve has no sharpness, as scheduled\(7, 20\) fails"):
        assert found.at(7) is None


def test_a_manifest_carries_the_printed_names(tmp_path: Path) -> None:
    """The manifest holds titles and families of the methods of the profile, as their files declare them."""
    settings = {"profile": "unit", "seeds": [1], "budgets": [5], "datasets": {"help": {"corpus": "lohelp-de-en"}}}
    settings |= {"methods": [{"name": "unpruned"}, *METHODS[:2]], "results": str(tmp_path)}
    plan = Plan(load(settings | {"models": {"tiny": TINY}}))
    assert manifest(plan, {}, {}, {})["printed"] == {
        "dsp": {"title": "DSP", "family": "Learned gates: subsets"},
        "ste": {"title": "STE", "family": "Learned gates: subsets"},
        "unpruned": {"title": "", "family": "Reference and controls"},
    }


BETAS = {"l0": 0.33, "layerwise_l0": 0.333}  # temperature of the gates' distribution
PENALISED = {"l0": {"penalty": 0.02, "warmup": 0.4}, "layerwise_l0": {"penalty": 0.02, "warmup": 0.33}}


@pytest.mark.parametrize("name", PENALISED)
def test_the_penalty_of_a_curve_is_the_one_that_trains(name: str) -> None:
    """To the last bit: the penalty of a training is the level of the curve times the expected number of open heads."""
    entry = load_methods()[name]
    space = HeadSpace.from_names([f"encoder.{layer}.{head}" for layer in range(3) for head in range(4)])
    method = entry.method(space, 12, entry.options(PENALISED[name]))
    alpha = torch.cat([parameter.detach() for parameter in method.parameters()])
    opened = open_probability(alpha, BETAS[name]).sum()
    for update in range(UPDATES):
        assert method.penalty(progress(update)).item() == (method.scheduled(update, UPDATES) * opened).item()


@pytest.mark.parametrize(("variant", "expected"), [("plain", ""), ("st_gumbel", ""), ("st_relaxed", "temperature")])
def test_only_the_relaxed_straight_through_has_a_temperature(variant: str, expected: str) -> None:
    entry = load_methods()["ste"]
    assert (
        entry.method(HeadSpace.from_names(["encoder.0.0"]), 1, entry.options({"variant": variant})).quantity == expected
    )


def test_a_method_without_a_schedule(config: Config) -> None:
    found, _ = trained(config, "ste")
    assert (found.quantity, found.at(3), found.cooldown) == ("", None, 0)
