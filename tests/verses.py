"""A small corpus of judged pairs, as a user's own folder has it: the first examples of the embedded one."""

from __future__ import annotations

from pathlib import Path

from headprune.tasks.nli.corpora import judged_corpus, read_judged

SIZES = {"train": 120, "valid": 30, "test": 40}


def write(folder: Path, sizes: dict[str, int] = SIZES) -> Path:
    """Writes train.tsv, valid.tsv and test.tsv: premise, hypothesis, label."""
    folder.mkdir(parents=True)
    for split, size in sizes.items():
        examples = read_judged(judged_corpus("versenli"), split)[:size]
        text = "".join("\t".join(example) + "\n" for example in examples)
        (folder / f"{split}.tsv").write_text(text, encoding="utf-8", newline="\n")
    return folder
