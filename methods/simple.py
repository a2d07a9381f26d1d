"""Exactly K heads in every forward pass, drawn from the distribution of K-subsets, whose covariance is the gradient."""

from dataclasses import dataclass

from headprune.method import GateMethod, LogUniform, option, register
from headprune.relaxations import simple_sample


@register("simple", paper="Ahmed, Zeng, Niepert and Van den Broeck 2023 (SIMPLE), arXiv 2210.01941")
class Simple(GateMethod):
    """Forward an exact sample z of p(z) ∝ exp(w·z) over the K-subsets; backward dL/dw := Cov(z) dL/dz.

    docs/theory/subset-sampling.md#other-estimators. As dsp in all but sampler and gradient: the same w and start, the
    same learning rate of its own, the top K of w, its most probable mask, in validation and in the end. There is no
    temperature, and no pass ever sees a soft gate. No code of the authors was read; where no compiler serves, the
    recursions run in torch.
    """

    title = "SIMPLE"
    family = "Learned gates: subsets"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.2, "of w, constant (as dsp)", space=LogUniform(0.02, 2))

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def sample(self, progress):
        return simple_sample(self.logits, self.budget, progress.generator)

    def keep(self, budget):
        return self.largest(self.logits, budget)
