"""Exactly K heads in every forward pass, the mask learnt through a straight-through gradient."""

from dataclasses import dataclass

import torch

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import gumbel, straight_through, subset_sample, temperature

VARIANTS = ("plain", "st_gumbel", "st_relaxed")


@register("ste", paper="Li, Cotterell and Sachan 2021, straight-through baseline; Bengio et al. 2013")
class StraightThrough(GateMethod):
    """The top K of the logits w forward; backward dL/dw := dL/dm, for the closed heads, too.

    docs/theory/subset-training.md#straight-through. Differences from the released code, numbered as in
    docs/theory/defects.md: exactly K under ties, and K = N is all ones (D8); w has its own constant learning rate and
    no weight decay (D11) and is clipped apart (D12). `st_gumbel` masks the top K of w plus Gumbel noise; `st_relaxed`
    masks the same and takes its gradient from the relaxed subset sample of dsp with that noise. Frozen, the mask is
    that of w, without noise, and moves no more: not by the momentum of Adam either.
    """

    title = "STE"
    family = "Learned gates: subsets"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(
            0.2, "of w, constant (paper: 0.2 for translation, 0.5 for classification)", space=LogUniform(0.02, 2)
        )
        variant: str = option("plain", "where mask and gradient come from", choices=VARIANTS)
        freeze_last: float = option(
            0.0, "last fraction of the updates in which w stands still (paper: 0)", space=Uniform(0, 0.5)
        )
        start: float = option(0.1, "st_relaxed: first temperature of the gradient", space=LogUniform(0.01, 1000))
        end: float = option(1e-8, "st_relaxed: last temperature", space=LogUniform(1e-8, 0.001))
        cooldown: float = option(
            0.23, "st_relaxed: fraction of the updates over which it falls", space=Uniform(0.1, 0.9)
        )

        def __post_init__(self):
            if not (self.start > 0 and self.end > 0):
                raise ValueError(f"temperatures must be positive, got start={self.start}, end={self.end}")
            for name in ("freeze_last", "cooldown"):
                if not 0 <= (value := getattr(self, name)) <= 1:
                    raise ValueError(f"option {name!r} is {value}; it is a fraction of the updates, 0 to 1")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("settled", torch.zeros_like(self.logits.detach()))  # w where it was frozen

    def cooldown(self, total):
        """Forward passes see hard masks at all times; only the gradient of st_relaxed has a temperature to lose."""
        return round(self.options.cooldown * total) if self.options.variant == "st_relaxed" else 0

    @property
    def quantity(self):
        return "temperature" if self.options.variant == "st_relaxed" else ""

    def scheduled(self, update, total):
        return temperature(update, self.options.start, self.options.end, self.cooldown(total))

    def sample(self, progress):
        options = self.options
        if options.freeze_last and progress.update >= round((1 - options.freeze_last) * progress.total):
            if not self.frozen:
                self.settled.copy_(self.logits.detach())
                self.frozen.fill_(True)
            return straight_through(self._hard(self.settled), 0 * self.logits)
        if options.variant == "plain":
            return straight_through(self._hard(self.logits), self.logits)
        noise = gumbel(self.logits.shape, progress.generator).to(self.logits.device)
        hard = self._hard(self.logits + noise)
        if options.variant == "st_gumbel":
            return straight_through(hard, self.logits)
        tau = self.scheduled(progress.update, progress.total)
        return straight_through(hard, subset_sample(self.logits, self.budget, tau, noise))

    def keep(self, budget):
        return self.largest(self.settled if self.frozen else self.logits, budget)

    def _hard(self, values):
        return self.logits.new_tensor(self.largest(values, self.budget).keep)
