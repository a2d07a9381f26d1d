"""Heads with scattered attention and little gradient go first."""

from dataclasses import dataclass

from headprune.importance import head_importance
from headprune.method import ScoreMethod, Uniform, option, register
from headprune.scoring.attention_maps import head_means, normalised_entropy


@register("entropy", paper="HIES 2025, as described in docs/theory/further-methods.md#entropy")
class Entropy(ScoreMethod):
    """α · minmax(I_h) + (1 − α) · (1 − minmax(E_h)): gradient importance and the entropy of the attention.

    I_h is Michel's importance per example, not normalised per module; E_h is the mean over positions of the entropy of
    the attention divided by the logarithm of the number of visible keys. Min-max runs over all heads of the model.
    α = 0 is pure entropy, α = 1 pure importance. The paper tunes α per task and sparsity; here it is one number.
    """

    family = "Attention-map scores"

    @dataclass(frozen=True)
    class Options:
        alpha: float = option(0.5, "weight of the gradient importance; the rest is of the entropy", space=Uniform(0, 1))

        def __post_init__(self):
            if not 0 <= self.alpha <= 1:
                raise ValueError(f"option 'alpha' is {self.alpha}; it is a weight, 0 to 1")

    def scores(self, model, batches, rng):
        alpha = self.options.alpha
        gradient = alpha * minmax(head_importance(model, batches)) if alpha > 0 else 0
        scattered = (1 - alpha) * (1 - minmax(head_means(model, batches, normalised_entropy))) if alpha < 1 else 0
        return gradient + scattered


def minmax(values):
    """Scales (N,) to 0…1; all 0 where all values are equal."""
    spread = values.max() - values.min()
    return (values - values.min()) / (spread if spread > 0 else 1)
