"""Exactly K heads in every forward pass, those of perturbed logits; the gradient is a difference of two masks."""

from dataclasses import dataclass

import torch

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import gumbel, imle_sample, sum_of_gamma

DECAY, RATE = 0.9, 1.02  # of the average that the adaptive strength follows, and by how much it moves


@register("imle", paper="Niepert, Minervini and Franceschi 2021 (I-MLE); Minervini et al. 2023 (AIMLE)")
class ImplicitMaximumLikelihood(GateMethod):
    """Forward z, the top K of w + noise; backward dL/dw := (z − z′) / λ, z′ the top K of w + noise − λ dL/dz.

    docs/theory/subset-sampling.md#other-estimators. As dsp in all but sampler and gradient. λ is `strength` over the
    root mean square of dL/dz, where I-MLE takes it as it is: the loss here is summed over the tokens of a batch, and
    no fixed λ would suit. With `share` the strength adapts, as in AIMLE, until z and z′ differ in that share of the
    heads kept; its average over the passes is part of the state. No code of the authors was read.
    """

    title = "I-MLE"
    family = "Learned gates: subsets"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.2, "of w, constant (as dsp)", space=LogUniform(0.02, 2))
        noise: str = option(
            "gumbel", "as dsp; `sum_of_gamma`: the paper's for K-subsets", choices=("gumbel", "sum_of_gamma")
        )
        strength: float = option(
            1.0, "λ in units of 1 / rms(dL/dz); where it starts if it adapts", space=LogUniform(0.1, 10)
        )
        share: float = option(
            0.0, "share of the K heads that z′ is to exchange; 0: the strength stays", space=Uniform(0, 0.5)
        )

        def __post_init__(self):
            if not 0 < self.strength < float("inf"):
                raise ValueError(f"option 'strength' is {self.strength}; it must be positive and finite")
            if not 0 <= self.share < 1:
                raise ValueError(f"option 'share' is {self.share}; it is a share of the heads kept, from 0 to below 1")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)
        self.register_buffer("strength", torch.tensor(self.options.strength, dtype=torch.float64))
        self.register_buffer("exchanged", torch.tensor(self.options.share, dtype=torch.float64))  # share, on average

    def sample(self, progress):
        shape, generator = self.logits.shape, progress.generator
        gamma = self.options.noise == "sum_of_gamma"
        noise = sum_of_gamma(shape, self.budget, generator) if gamma else gumbel(shape, generator)
        observe = self._adapt if self.options.share else None
        return imle_sample(self.logits, self.budget, noise.to(self.logits.device), self.strength.item(), observe)

    def _adapt(self, share):
        """Makes λ larger where fewer heads are exchanged than asked for, smaller where more are."""
        self.exchanged.mul_(DECAY).add_((1 - DECAY) * share)
        self.strength.mul_(RATE if self.exchanged < self.options.share else 1 / RATE).clamp_(1e-6, 1e6)

    def keep(self, budget):
        return self.largest(self.logits, budget)
