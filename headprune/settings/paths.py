"""Paths in a profile: written as Snakemake and logs can take them.

They begin at the folder of the profile's file, all but that of the results, which begins at the current folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from headprune.settings.base import Text

FOLDER = "folder"  # of the profile's file, in the context of a validation


def plain_folder(value: str) -> str:
    """The path, with the user's home for `~`.

    :raises ValueError: a path that is empty, or that Snakemake or a log could not write as it is; an unknown home.
    """
    value = os.path.expanduser(value)
    if value.startswith("~"):
        raise ValueError(f"there is no home folder for {value.split('/')[0]!r}; write ./~ for a folder of that name")
    if not value.strip() or re.search(r"[{}<>\x00-\x1f\x7f]", value):
        raise ValueError("must not be empty, and must not hold braces, angle brackets or control characters")
    return value


def beside_the_profile(value: str, info: ValidationInfo) -> str:
    """The absolute path of something that a profile names: relative ones begin at the folder of its file, or at the
    current one where there is no file.

    :raises ValueError: see `plain_folder`.
    """
    folder = (info.context or {}).get(FOLDER) or Path.cwd()
    return os.path.normpath(Path(folder).absolute() / plain_folder(value))


def address_or_place(value: str, info: ValidationInfo) -> str:
    """A web address as it is, and the path of a folder as `beside_the_profile` has it.

    :raises ValueError: see `plain_folder`.
    """
    return value if not value or "://" in value else beside_the_profile(value, info)


Folder = Annotated[Text, AfterValidator(plain_folder)]
Place = Annotated[Text, AfterValidator(beside_the_profile)]
Mirror = Annotated[Text, AfterValidator(address_or_place)]
