"""A cell as the terminal shows it."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from headprune.pipeline.display import samples
from headprune.results.outputs import cell_folder


def test_samples_of_every_split_are_shown_as_they_are(tmp_path: Path) -> None:
    name = "reader/dsp.joint/k4-s1"
    cell, segments = tmp_path / "cells" / name, cell_folder(tmp_path, name)
    for folder in (cell, segments):
        folder.mkdir(parents=True)
    for split in ("test", "valid"):
        texts = {"prompt": f"[bold]once {split}[/bold]", "continuation": "upon\na time"}
        (segments / f"sample.{split}.json").write_text(json.dumps(texts))
    (segments / "likelihoods.test.parquet").write_bytes(b"not shown")
    console = Console(record=True, width=80)
    samples(console, cell)
    shown = [f"[bold]once {split}[/bold]\nupon\na time\n" for split in ("valid", "test")]
    assert console.export_text() == "".join(shown)
    samples(console, tmp_path / "cells" / "tiny/dsp.joint/k4-s1")
    assert console.export_text() == ""
