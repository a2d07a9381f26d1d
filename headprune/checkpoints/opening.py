"""Models as they lie on disk: of fairseq, or pruned here before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune import removal
from headprune.checkpoints.building import build, family
from headprune.checkpoints.description import Description, description_of
from headprune.checkpoints.dictionaries import dictionary_of, stand_in
from headprune.checkpoints.reading import plain_data


@dataclass(frozen=True)
class OpenedModel:
    """A model with what its checkpoint says of it.

    :param dictionaries: the places where they are from; empty: stand-ins of their sizes
    """

    description: Description
    model: Any
    dictionaries: tuple[Path, ...] = ()


def open_model(path: str | Path, data: Path | None = None) -> OpenedModel:
    """The model of a checkpoint, in evaluation mode.

    :param data: folder of its dictionaries, that of its binarised data; None: that of the checkpoint if they are there,
        as fairseq's released models have them, else stand-ins
    :raises ValueError: see `plain_data`, `description_of` and `build`; or nothing tells the two languages.
    :raises FileNotFoundError: there is no checkpoint, or no dictionary in `data`.
    """
    path = Path(path)
    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"there is no folder {data}")
    state = plain_data(path)
    description = description_of(state, path)
    if isinstance(state, Mapping) and "headprune" in state:
        return OpenedModel(description, removal.load(path))
    places = dictionary_files(description, path.parent if data is None else data)
    if data is None and not (places and all(place.is_file() for place in places)):
        places = ()
    elif not places:
        held = ", ".join(sorted(each.name for each in data.iterdir())[:6]) if data else ""
        raise ValueError(
            f"{data} has no data of two languages, as fairseq-preprocess writes them (dict.de.txt, dict.en.txt, "
            f"valid.de-en.de.bin, …), and {path} does not tell which it was trained with; in it: {held or 'nothing'}"
        )
    parts = family(description).parts
    if places:
        dictionaries = [dictionary_of(place) for place in places]
    else:
        dictionaries = [stand_in(description.words.get(part, 0)) for part in parts]
    return OpenedModel(description, build(description, dictionaries, places), places)


def dictionary_files(description: Description, folder: Path) -> tuple[Path, ...]:
    """The files of the dictionaries of a model in a folder, as fairseq names them; none if nothing tells its
    languages."""
    if len(family(description).parts) == 1:
        return (folder / "dict.txt",)
    pair = description.pair if all(description.pair) else pair_of(folder)
    if pair is None:
        return ()
    return tuple(folder / f"dict.{language}.txt" for language in pair)


def pair_of(folder: Path) -> tuple[str, str] | None:
    """The source and the target language of binarised data, from the names of its files; None: not told."""
    for path in sorted(folder.glob("*.*-*.*")) if folder.is_dir() else ():
        source, dash, target = path.name.split(".")[1].partition("-")
        if dash and (folder / f"dict.{source}.txt").is_file() and (folder / f"dict.{target}.txt").is_file():
            return source, target
    return None
