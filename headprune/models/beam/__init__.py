"""Beam search for translations: the fast way where a model allows it, fairseq's otherwise, chosen in one place."""

from __future__ import annotations

from typing import Any, Literal

from headprune.models.beam.base import BeamRules, BeamSearch, Hypothesis
from headprune.models.beam.plain import PlainBeamSearch
from headprune.models.beam.search import FastBeamSearch
from headprune.models.beam.support import unsupported

SearchKind = Literal["fast", "fairseq"]


def beam_search(model: Any, task: Any, rules: BeamRules, kind: SearchKind = "fast") -> BeamSearch:
    """A beam search with `model` as it is now: one that changes, in weights, heads or gates, needs a new one.

    :param task: fairseq's, with the dictionaries
    :param kind: `fast` unless the model has parts that only fairseq's code knows; or `fairseq` in any case. The
        hypotheses are the same, scores differ by rounding
    """
    if kind == "fast" and unsupported(model, rules) is None:
        return FastBeamSearch(model, rules)
    return PlainBeamSearch(model, task, rules)


__all__ = [
    "BeamRules",
    "BeamSearch",
    "FastBeamSearch",
    "Hypothesis",
    "PlainBeamSearch",
    "SearchKind",
    "beam_search",
    "unsupported",
]
