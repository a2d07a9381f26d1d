"""The arms of the suite: their families, their order, their names in print."""

from __future__ import annotations

from collections.abc import Iterable

from common import UNPRUNED, Line, split_arm

from headprune.analysis import names

CONTROLS, OTHER, TREATED = "Reference and controls", "Other methods", "Treated masks"
FAMILIES = (  # in the order of print
    CONTROLS,
    "Data-free and gradient scores",
    "Attention-map scores",
    "Ablation and near-oracles",
    "Reconstruction",
    "Learned gates: subsets",
    "Learned gates: penalties and others",
    "Learned gates: layer-wise",
    OTHER,
    TREATED,
)
# The methods of the suite, each with its arms, in the order of print; what is not listed follows by name.
ARMS: dict[str, tuple[str, ...]] = {
    UNPRUNED: (),
    "random": (),
    "random_balanced": (),
    "magnitude": (),
    "gradient_importance": ("one_shot", "iterative", "signed", "unnormalised", "position", "batch"),
    "confidence": (),
    "entropy": (),
    "drop_one": (),
    "keep_one": (),
    "greedy": (),
    "evolutionary": (),
    "fisher": (),
    "obs": (),
    "fluctuation": (),
    "dsp": ("pipelined", "joint", "continued"),
    "ste": ("pipelined", "gumbel", "relaxed", "joint"),
    "simple": ("pipelined", "joint", "continued"),
    "sst": ("pipelined", "joint", "continued"),
    "imle": ("pipelined", "joint", "continued", "adaptive"),
    "capped_simplex": ("pipelined", "joint", "continued"),
    "l0": ("pipelined", "joint", "continued", "at_k"),
    "lagrangian_l0": (),
    "pass": ("pipelined", "joint", "continued"),
    "movement": (),
    "drophead": (),
    "layerwise_l0": ("continued", "pipelined", "no_warmup", "no_initialisation", "no_scaling", "at_k"),
}
METHODS = list(ARMS)
MANY = 8  # more lines than this are no longer told apart in one panel
TWIN = "twin"  # random heads, as many of every module as the mask it is named after keeps: a control

ARM_NAMES = {
    "at_k": "cut at K",
    "continued_at_k": "continued, cut at K",
    "signed_iterative": "signed, iterative",
    "no_warmup": "no warm-up",
}
TREATMENT_NAMES = {
    "ft": "fine-tuning",
    "distil": "distillation",
    "bc": "bias compensation",
    "scratch": "from scratch",
    "scratch_twin": "random twin from scratch",
    "ft_long": "long fine-tuning",
    TWIN: "random twin",
}


def family_of(line: Line) -> str:
    """The family a line is shown with; a twin is a control, any other treated mask stands apart."""
    treatment = split_arm(line[1])[1]
    if treatment:
        return CONTROLS if treatment == TWIN else TREATED
    if line[0].partition("+")[0] == UNPRUNED:
        return CONTROLS
    family = names.family(line[0])
    return family if family in FAMILIES else OTHER


def by_family(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """The lines cut by family, in print order."""
    found: dict[str, list[Line]] = {}
    for line in ordered(lines):
        found.setdefault(family_of(line), []).append(line)
    return {family: found[family] for family in FAMILIES if family in found}


def ordered(lines: Iterable[Line]) -> list[Line]:
    """The methods and arms in the order of ARMS, those it does not list by name after them, treated ones last."""
    return sorted(set(lines), key=_rank)


def _rank(line: Line) -> tuple:
    method, arm = line
    base, treatment = split_arm(arm)
    methods, arms, treatments = METHODS, ARMS.get(method, ()), list(TREATMENT_NAMES)
    place = (_index(methods, method.partition("+")[0]), method, _index(arms, base), base)
    return (bool(treatment), *place, _index(treatments, treatment), treatment)


def _index(names: Iterable[str], name: str) -> int:
    known = list(names)
    return known.index(name) if name in known else len(known)


def line_label(line: Line) -> str:
    """`("dsp", "joint+ft")` reads `DSP (joint) + fine-tuning`; unknown names read as they are."""
    method, arm = line
    base, treatment = split_arm(arm)
    if method.startswith(f"{UNPRUNED}+"):
        method, _, treatment = method.partition("+")
    name = names.title(method)
    name = f"{name} ({ARM_NAMES.get(base, _arm_name(base))})" if base else name
    return f"{name} + {treatment_label(treatment)}" if treatment else name


def _arm_name(arm: str) -> str:
    return f"no {arm[3:].replace('_', ' ')}" if arm.startswith("no_") else arm.replace("_", "-")


def treatment_label(treatment: str) -> str:
    """`ft` reads `fine-tuning`."""
    return TREATMENT_NAMES.get(treatment, treatment.replace("_", " "))
