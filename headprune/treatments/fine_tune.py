"""Fine-tuning after pruning; with random heads it belongs to every comparison (docs/theory/ablation.md#baselines)."""

from __future__ import annotations

from pathlib import Path

from headprune.treatments.base import Retraining, Settings


class FineTune(Retraining):
    """the pruned model trains on; of `unpruned`, what as many further updates do to all heads"""

    name, suffix = "fine_tune", "ft"
    keys = frozenset({"updates", "learning_rate", "schedule", "distillation", "temperature"})
    treats_unpruned = True
    starts_pruned = True

    def needs_dense(self, settings: Settings) -> bool:
        return settings.distillation > 0

    def arguments(self, settings: Settings, dense: Path) -> list[str]:
        """Arguments of the distillation, if there is any: the unpruned model is the teacher."""
        if not settings.distillation:
            return []
        from headprune.training.arguments import distillation_arguments  # imports torch

        return distillation_arguments(dense, settings.distillation, settings.temperature)
