"""The folders that results lie in: what is there already and was asked for in the same way is not computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.system.files import replacing

Record = dict[str, Any]
SUMMARY, RECORD, MODEL, MASK = "summary.json", "record.json", "model.pt", "mask.txt"
UNPRUNED, DATA = "unpruned", "data-bin"
SOURCE = "source.json"  # tells what data in that folder were made of


@dataclass(frozen=True)
class Folder:
    """The folder of one model among the results.

    :param signature: of what it depends on
    :param outputs: the file of what the model put out
    """

    path: Path
    signature: str
    outputs: str

    def kept(self) -> Record | None:
        """The record that is there; None: there is none, or of something else."""
        place = self.path / RECORD
        if not place.is_file():
            return None
        found: Record = json.loads(place.read_text(encoding="utf-8"))
        return found if found.get("signature") == self.signature else None

    def lines(self) -> list[str]:
        """The lines that the model put out."""
        return (self.path / self.outputs).read_text(encoding="utf-8").split("\n")[:-1]

    def keep(self, record: Record, lines: list[str]) -> Record:
        """Write the record, as the last of the files."""
        write(self.path / self.outputs, "".join(f"{line}\n" for line in lines))
        record = {"signature": self.signature} | record
        write(self.path / RECORD, json.dumps(record, indent=2) + "\n")
        return record

    def within(self, name: str) -> Folder:
        """A folder in it, of the model that became this one."""
        return Folder(self.path / name, self.signature, self.outputs)


def write(path: Path, text: str) -> None:
    """Write a file that is whole or not there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refuse_foreign(out: Path) -> None:
    """:raises FileExistsError: a file, or a folder that is not empty and holds no results."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; --out names a folder")
    held = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if held and not ({SUMMARY, UNPRUNED} & set(held) or (out / DATA / SOURCE).is_file()):
        raise FileExistsError(f"{out} holds {', '.join(held[:4])} and no earlier results of this command: name another")


# Terms as the command line names them; of those in CONTENTS a digest is all that is known.
OPTIONS = {
    "name": "--method",
    "options": "--option",
    "seed": "--seed",
    "sentences": "--sentences",
    "speed": "--speed",
    "calibration.sentences": "--judged",
    "evaluation.beam": "--beam",
    "reading": "the reading of the data",
    "fine_tune": "--fine-tune",
    "learning_rate": "--learning-rate",
}
CONTENTS = {
    "checkpoint": "the checkpoint",
    "data": "the content of --data",
    "references": "the content of --references",
    "code": "the code of headprune",
    "file": "the file of the method",
}


def refuse_other_results(out: Path, terms: Mapping[str, Mapping[str, Any]]) -> None:
    """:raises FileExistsError: a folder with the results of another request, or with what is no result."""
    refuse_foreign(out)
    if (out / SUMMARY).is_file():
        before = json.loads((out / SUMMARY).read_text(encoding="utf-8"))["terms"]
        now = json.loads(json.dumps(terms))  # as the file has them
        if before.get("method", {}).get("name") != now["method"]["name"]:  # the rest of it follows from the name
            before, now = ({**each, "method": {"name": each["method"]["name"]}} for each in (before, now))
        if changed := [text for part in now for text in changes(before.get(part, {}), now[part])]:
            raise FileExistsError(f"{out} holds results of another call: {'; '.join(changed)}: name another folder")


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """The settings that are others than before, in words.

    :param key: of both, as in `calibration.sentences`
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for inner in dict.fromkeys([*before, *now]):
            yield from changes(before.get(inner), now.get(inner), f"{key}.{inner}" if key else inner)
    elif before != now and key in CONTENTS:
        yield f"{CONTENTS[key]} has changed"
    elif before != now:
        option, dot, name = key.partition(".")
        words = OPTIONS.get(key) or (f"{OPTIONS[option]} {name}" if dot and option in OPTIONS else key)
        yield f"{words} was {_shown(before)}, is {_shown(now)}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "not given" if value is None else str(value)
