"""Writes results folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.results import schema


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes cells.parquet, and masks.parquet where asked, and returns the folder."""

    def written(rows: list[dict], masks: list[dict] | None = None, name: str = "results") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "cells.parquet").write_bytes(schema.to_parquet(schema.cells_table(rows)))
        if masks is not None:
            (folder / "masks.parquet").write_bytes(schema.to_parquet(schema.masks_table(masks)))
        return folder

    return written
