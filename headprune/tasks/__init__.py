"""Tracks: tasks with their model families and metrics. All that the pipeline knows of a task, it asks its track."""

from headprune.tasks.base import Outcome, Track
from headprune.tasks.language_modeling import LanguageModeling
from headprune.tasks.translation import Translation

TRACKS: dict[str, Track] = {track.name: track for track in (Translation(), LanguageModeling())}

__all__ = ["TRACKS", "LanguageModeling", "Outcome", "Track", "Translation"]
