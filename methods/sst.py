"""Gates that are the probabilities of heads under perturbed logits, temperature falling."""

from dataclasses import dataclass

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import gumbel, marginal_sample, temperature


@register("sst", paper="Paulus et al. 2020 (stochastic softmax tricks), exponential-family entropy, K-subsets")
class StochasticSoftmax(GateMethod):
    """Gates m = E[z] under p(z) ∝ exp((w + g)·z / t) over the K-subsets, g Gumbel noise.

    docs/theory/subset-sampling.md#other-estimators. As dsp in all but the relaxation: the same w, noise, temperatures
    and options. Gates lie in [0, 1], where those of dsp can exceed 1, and the gradient is whole at every temperature:
    nothing is cut off where it is cold. No code of the authors was read.
    """

    title = "SST"
    family = "Learned gates: subsets"
    quantity = "temperature"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.2, "of w, constant (as dsp)", space=LogUniform(0.02, 2))
        start: float = option(0.1, "first temperature (as dsp)", space=LogUniform(0.01, 1000))
        end: float = option(1e-8, "last temperature", space=LogUniform(1e-8, 0.001))
        cooldown: float = option(0.23, "fraction of the updates over which it falls", space=Uniform(0.1, 0.9))

        def __post_init__(self):
            if not (self.start > 0 and self.end > 0):
                raise ValueError(f"temperatures must be positive, got start={self.start}, end={self.end}")
            if not 0 <= self.cooldown <= 1:
                raise ValueError(f"option 'cooldown' is {self.cooldown}; it is a fraction of the updates, 0 to 1")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def cooldown(self, total):
        return round(self.options.cooldown * total)

    def scheduled(self, update, total):
        return temperature(update, self.options.start, self.options.end, self.cooldown(total))

    def sample(self, progress):
        noise = gumbel(self.logits.shape, progress.generator).to(self.logits.device)
        return marginal_sample(self.logits, self.budget, self.scheduled(progress.update, progress.total), noise)

    def keep(self, budget):
        return self.largest(self.logits, budget)
