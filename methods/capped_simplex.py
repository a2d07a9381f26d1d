"""Gates that are the projection of the logits onto the masks' convex hull, temperature falling; no noise."""

from dataclasses import dataclass

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import projected_sample, temperature


@register("capped_simplex", paper="a control; the projection of Wang and Lu 2015 on the polytope of dsp")
class CappedSimplex(GateMethod):
    """Gates m = the point of {m ∈ [0, 1]^N, Σ m = K} nearest to w / t.

    docs/theory/subset-sampling.md#other-estimators. As dsp without noise, which tells what noise and what the
    relaxation contribute: the same w, learning rate and falling temperature. Zeros and ones are exact, and heads there
    get no gradient. The first temperature is larger, for a head to be between them for a while: at dsp's 0.1 the first
    logits alone would decide.
    """

    title = "capped simplex"
    family = "Learned gates: subsets"
    quantity = "temperature"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.2, "of w, constant (as dsp)", space=LogUniform(0.02, 2))
        start: float = option(10.0, "first temperature", space=LogUniform(0.01, 1000))
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
        return projected_sample(self.logits, self.budget, self.scheduled(progress.update, progress.total))

    def keep(self, budget):
        return self.largest(self.logits, budget)
