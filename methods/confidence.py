"""Heads that look at one word at a time stay."""

from headprune.method import ScoreMethod, register
from headprune.scoring.attention_maps import head_means, largest_weight


@register("confidence", paper="Voita et al. 2019, section 4; docs/theory/further-methods.md#confidence")
class Confidence(ScoreMethod):
    """Scores a head by its largest attention weight, averaged over tokens; the end of the sentence is no key.

    The paper uses confidence to describe heads, not to prune them. fairseq begins the decoder's input with the
    end-of-sentence symbol; it is left out there as well, and a position that sees nothing else is skipped.
    """

    family = "Attention-map scores"

    def scores(self, model, batches, rng):
        return head_means(model, batches, largest_weight)
