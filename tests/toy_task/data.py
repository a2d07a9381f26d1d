"""Making the strings: raw/<split>.src and .tgt, fairseq's binarised data in bin/, statistics.json."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path
from typing import Any

from headprune.data.binarise import binarise
from headprune.data.lengths import Bounds
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from toy_task.sections import Strings

SIDES = {"src": "forth", "tgt": "back"}


def prepare(section: Strings, folder: Path, bounds: Bounds) -> dict[str, Any]:
    """Makes the strings in a folder, as `Material.prepare` says.

    :returns: the content of statistics.json
    :raises ValueError: a split has too few strings.
    """
    splits = {split: strings(section, split) for split in SPLITS}
    for split, bound in bounds.items():
        if len(splits[split]) < bound.tokens:
            raise ValueError(f"{split}: {len(splits[split])} strings; {bound.tokens} are needed: {bound.reason}")
    with staged_folder(folder, marker=STATISTICS) as work:
        (work / "pieces").mkdir()
        (work / "raw").mkdir()
        texts = {}
        for split, found in splits.items():
            sides = {"src": found, "tgt": [string[::-1] for string in found]}
            for side, language in SIDES.items():
                texts[split, side] = "".join(f"{' '.join(string)}\n" for string in sides[side])
                (work / "raw" / f"{split}.{side}").write_text(texts[split, side], encoding="utf-8")
                (work / "pieces" / f"{split}.{language}").write_text(texts[split, side], encoding="utf-8")
        binarise(work / "pieces", work / "bin", *SIDES.values(), True)
        shutil.rmtree(work / "pieces")
        digests = {split: _sha256(texts[split, "src"]) for split in SPLITS}
        digests["train+valid"] = _sha256(texts["train", "src"] + texts["valid", "src"])
        counts = {split: {"strings": len(found)} for split, found in splits.items()}
        recipe = section.model_dump(exclude={"track"})
        return write_statistics(work, recipe=recipe, corpus={"name": "random"}, sha256=digests, splits=counts)


def strings(section: Strings, split: str) -> list[str]:
    """The strings of a split, the same ones every time."""
    rng = random.Random(split)
    letters = "abcdefghijklmnopqrstuvwxyz"[: section.symbols]
    number = section.strings if split == "train" else max(10, section.strings // 10)
    return ["".join(rng.choices(letters, k=section.length)) for _ in range(number)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
