"""The sources of a report, and those of them that a results folder does not have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headprune.analysis.tables import Results, ResultsError, read
from headprune.results import outputs

NO_OUTPUTS = f"example outputs: neither {outputs.OF_CELLS}/ nor {outputs.OF_MODELS}/ is in this folder"
WITHOUT = {
    "data": "the texts that outputs are compared with: data/ is not in this folder",
    "logs": "logs: logs/ is not in this folder",
}


@dataclass(frozen=True)
class Sources:
    """A results folder as read.

    :param made: folders in which figures/ and tables/ are looked for, the first that has a file counts
    :param absent: what the folder lacks, each a sentence for the reader
    """

    results: Results
    manifest: Mapping[str, Any]
    made: tuple[Path, ...]
    absent: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.results.folder

    def products(self, folder: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
        """Files of `figures` or `tables` with one of these suffixes, by stem; an earlier suffix counts more."""
        found: dict[str, Path] = {}
        for place in self.made:
            for suffix in suffixes:
                for path in sorted((place / folder).glob(f"*{suffix}")):
                    found.setdefault(path.stem, path)
        return found


def read_sources(folder: Path, out: Path) -> Sources:
    """Reads the tables and the manifest of a results folder.

    :param out: where the report goes; figures and tables there count more than those of `folder`
    :returns: what there is, and sentences on what is absent
    :raises ResultsError: there is no cells.parquet, or it is unreadable; all else may be absent.
    """
    absent = []
    try:
        results = read(folder, with_masks=True)
    except ResultsError as error:
        results = read(folder)
        absent.append(f"masks: {error}")
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        manifest = {}
        absent.append(f"configuration and provenance: manifest.json cannot be read ({_brief(error)})")
    absent += [] if outputs.exist(folder) else [NO_OUTPUTS]
    absent += [sentence for name, sentence in WITHOUT.items() if not (folder / name).is_dir()]
    results = replace(results, timed=True)  # a report shows times
    return Sources(results, manifest, tuple(dict.fromkeys((out, folder))), tuple(absent))


def _brief(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
