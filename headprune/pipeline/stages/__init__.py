"""What the jobs do. Each takes its specification (plain data, see `Plan.specification`) and returns its receipt.

A failure of a cell becomes the record of that cell; a failure that concerns all cells of a job becomes the record of
each. Seeds of everything random are derived here, so that no method ever sees one.
"""

from headprune.pipeline.stages.ablating import ablate
from headprune.pipeline.stages.gating import gates, search
from headprune.pipeline.stages.preparation import data, dense
from headprune.pipeline.stages.scoring import score
from headprune.pipeline.stages.testing import speed, test
from headprune.pipeline.stages.treating import retrain, treat

__all__ = ["ablate", "data", "dense", "gates", "retrain", "score", "search", "speed", "test", "treat"]
