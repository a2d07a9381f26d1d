"""Exactly K heads, selected by gradient descent."""

from dataclasses import dataclass

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import subset_sample, temperature


@register("dsp", paper="Li, Cotterell and Sachan 2021, section 3")
class DifferentiableSubsetPruning(GateMethod):
    """Differentiable subset pruning: importance logits w, a relaxed K-subset sample as gates, temperature falling.

    docs/theory/subset-sampling.md#sampler and docs/theory/subset-training.md. Differences from the released code,
    numbered as in docs/theory/defects.md: validation uses the hard top K, never a sample (D7); w has its own constant
    learning rate and no weight decay (D11) and its gradient is clipped apart from the model's (D12); the sampler is
    guarded against double selection and overflow (D9, D10).
    """

    title = "DSP"
    family = "Learned gates: subsets"
    quantity = "temperature"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(
            0.2, "of w, constant (paper: 0.2 for translation, 0.5 for classification)", space=LogUniform(0.02, 2)
        )
        start: float = option(
            0.1, "first temperature (paper: 0.1 for translation, 1000 for classification)", space=LogUniform(0.01, 1000)
        )
        end: float = option(1e-8, "last temperature", space=LogUniform(1e-8, 0.001))
        cooldown: float = option(
            0.23, "fraction of the updates over which it falls (paper: 0.23 MT, 0.68 NLI)", space=Uniform(0.1, 0.9)
        )

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
        tau = self.scheduled(progress.update, progress.total)
        return subset_sample(self.logits, self.budget, tau, generator=progress.generator)

    def keep(self, budget):
        return self.largest(self.logits, budget)
