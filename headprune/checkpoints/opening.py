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

    :param dictionaries: the places where they are from; empty: stand-ins of their sizes, or those in a file of our own
    """

    description: Description
    model: Any
    dictionaries: tuple[Path, ...] = ()


def open_model(path: str | Path, data: Path | None = None) -> OpenedModel:
    """The model of a checkpoint, in evaluation mode.

    :param data: folder of its dictionaries, that of its binarised data; None: that of the checkpoint if they are there,
        as fairseq's released models have them, else stand-ins
    :raises ValueError: see `plain_data`, `description_of`, `build` and `own_dictionaries`; or nothing tells the two
        languages.
    :raises FileNotFoundError: there is no checkpoint, or no dictionary in `data`.
    """
    path = Path(path)
    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"there is no folder {data}")
    state = plain_data(path)
    description = description_of(state, path)
    if isinstance(state, Mapping) and "headprune" in state:
        model = removal.load(path)
        return OpenedModel(description, model, own_dictionaries(model, path, data) if data else ())
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


def own_dictionaries(model: Any, path: Path, folder: Path) -> tuple[Path, ...]:
    """The dictionaries of a folder that hold the words of a model which was saved with them, in the order of its parts.

    None where nothing tells the languages of two; they are the model's all the same.

    :raises FileNotFoundError: there is no dictionary in the folder.
    :raises ValueError: those there are others.
    """
    words = {part: getattr(model, part).dictionary for part in removal.kind_of(model).parts}
    pair = pair_of(folder)
    for order in (pair, pair[::-1]) if pair else ():  # data that are binarised in one direction serve the other, too
        turned = tuple(folder / f"dict.{language}.txt" for language in order)
        if all(map(_holds, turned, words.values())):
            return turned
    places = [folder / f"dict.{language}.txt" for language in pair or ()] or sorted(folder.glob("dict*.txt"))
    places = places or sorted(folder.glob("input0/dict.txt"))  # of judged pairs
    if not places:
        raise FileNotFoundError(f"there is no dictionary in {folder}, dict.txt or dict.LANGUAGE.txt")
    for number, (part, own) in enumerate(words.items()):
        asked = places[number : number + 1] if pair else places
        if not any(_holds(place, own) for place in asked):
            raise ValueError(
                f"{folder}: its dictionary of the {part} has {len(dictionary_of(asked[0]))} symbols, that in {path} "
                f"{len(own)}, or others: give the data that the model was trained on, prepared in the same way"
            )
    return tuple(places) if len(places) == len(words) == 1 else ()


def _holds(place: Path, own: Any) -> bool:
    """Return whether a file has the words of a dictionary."""
    return bool(dictionary_of(place).symbols in (own.symbols, _without_mask(own)))


def _without_mask(dictionary: Any) -> list[str]:
    """The symbols of a dictionary but for the one that RoBERTa adds to those of its file."""
    return [symbol for symbol in dictionary.symbols if symbol != "<mask>"]


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
