"""Starts a method: a commented file that passes all checks as it stands, and its test."""

from __future__ import annotations

import keyword
from pathlib import Path

from headprune.method.registry import BUILT_IN, load_methods
from headprune.naming import unknown
from headprune.system.files import replacing

TEMPLATES = Path(__file__).parent / "templates"
REPOSITORY = BUILT_IN.parent
KINDS = ("score", "gate")


def new_method(name: str, kind: str, directory: Path) -> tuple[Path, Path]:
    """Writes DIRECTORY/NAME.py and its test; returns both.

    The test goes to tests/method in this repository, and beside the method elsewhere.

    :raises ValueError: a name that is taken or no identifier, or an unknown kind.
    :raises FileExistsError: one of the files exists; nothing is written.
    """
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, KINDS))
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name) or name.startswith(("_", "test_")):
        raise ValueError(f"{name!r} is no name for a method: letters, digits and _, not starting with _ or test_")
    if not directory.is_dir():
        raise FileNotFoundError(f"folder {directory} does not exist; `--directory` takes one that does")
    folder = directory.resolve()
    taken = load_methods(*dict.fromkeys((BUILT_IN, folder)))
    if name in taken:
        raise ValueError(f"method {name!r} exists, in {taken[name].file}")
    file, test = folder / f"{name}.py", _test(name, folder)
    for path in (file, test):
        if path.exists():
            raise FileExistsError(f"{path} exists; nothing is written")
    inside = test.parent != folder
    place = f'parents[2] / "{folder.relative_to(REPOSITORY).as_posix()}" / "{name}.py"' if inside else ""
    words = {
        "NAME": name,
        "CLASS": "".join(word.capitalize() for word in name.split("_")) or name,
        "FILE": f"Path(__file__).resolve().{place}" if inside else f'Path(__file__).with_name("{name}.py")',
    }
    for path, template in ((file, kind), (test, f"test_{kind}")):
        text = (TEMPLATES / f"{template}.py.txt").read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return file, test


def _test(name: str, folder: Path) -> Path:
    tests = REPOSITORY / "tests" / "method"
    own = folder.is_relative_to(REPOSITORY) and tests.is_dir()
    return (tests if own else folder) / f"test_{name}.py"
