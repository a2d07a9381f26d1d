"""Files of methods read without running them: what they say is what they register, and nothing unclear is guessed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from headprune.method import Entry, load_methods
from headprune.method.declared import declared
from headprune.method.entry import BUILT_IN
from headprune.method.spaces import Choices, LogUniform
from headprune.method.tuning import space_of, trials

METHODS = load_methods()
PLAIN = '''
from headprune.method import ScoreMethod, option, register
NORMS = ("out", "query")
TENTH = 10

@register("mine", paper="Someone 2026")
class Mine(ScoreMethod):
    """First line.

    More."""

    class Options:
        norm: str = option("out", "of what", choices=NORMS)
        share: float = option(2 / 3, space=LogUniform(0.1, high=10 / TENTH), help="of it")
'''


@pytest.fixture(scope="module")
def said() -> dict[str, Entry]:
    found = declared()
    assert found is not None
    return found


def test_every_method_of_the_repository_is_plain(said: dict[str, Entry]) -> None:
    assert list(said) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_files_say_what_they_register(said: dict[str, Entry], name: str) -> None:
    one, other = said[name], METHODS[name]
    assert (one.name, one.kind, one.paper, one.file) == (other.name, other.kind, other.paper, other.file)
    assert (one.summary, one.sha256) == (other.summary, other.sha256)
    own = ("prunes",) if one.kind == "score" else ("modes", "per_budget", "coefficient")
    for attribute in ("title", "family", *own):
        assert getattr(one.method, attribute) == getattr(other.method, attribute)
    mine, theirs = fields(one.method.Options), fields(other.method.Options)  # type: ignore[attr-defined]
    assert [f.name for f in mine] == [f.name for f in theirs]
    for item, same in zip(mine, theirs, strict=True):
        assert item.default == same.default
        assert type(item.default) is type(same.default)
        assert item.default is not MISSING
        assert item.metadata == same.metadata  # help text, choices, space and whether trainings depend on it
    assert trials(one.method, 8, seed=1) == trials(other.method, 8, seed=1)


def test_a_plain_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLAIN, encoding="utf-8")
    found = declared(BUILT_IN, tmp_path)
    assert found is not None
    assert list(found) == sorted([*METHODS, "mine"])
    assert found["mine"].summary == "First line."
    assert found["mine"].options({"norm": "query"}).share == pytest.approx(2 / 3)
    assert space_of(found["mine"].method) == {"norm": Choices(("out", "query")), "share": LogUniform(0.1, 1.0)}
    with pytest.raises(ValueError, match="option 'norm' is 'key'; available: out, query"):
        found["mine"].options({"norm": "key"})


def test_values_are_refused_by_the_rules_of_the_file(said: dict[str, Entry]) -> None:
    for entries in (said, METHODS):
        with pytest.raises(ValueError, match="method 'dsp': option 'cooldown' is 1.5; it is a fraction"):
            entries["dsp"].options({"cooldown": 1.5})
        with pytest.raises(ValueError, match="method 'fisher': option 'group' is 0; it must be at least 1"):
            entries["fisher"].options({"group": 0})


@pytest.mark.parametrize("name", METHODS)
def test_both_refuse_the_same_numbers(said: dict[str, Entry], name: str) -> None:
    for item in fields(said[name].method.Options):  # type: ignore[attr-defined]
        if not isinstance(item.default, bool) and isinstance(item.default, int | float):
            for value in (-2, -1, 0, 1, 2, 1000):
                given = {item.name: type(item.default)(value)}
                assert _refusal(said[name], given) == _refusal(METHODS[name], given)


def _refusal(entry: Entry, values: dict[str, float]) -> str:
    try:
        entry.options(values)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "code",
    [
        PLAIN + "\nregister('another')(Mine)\n",
        PLAIN + "\nfrom headprune import method\nmethod.register('another')(Mine)\n",
        PLAIN.replace('@register("mine"', "@str\n@register('mine'"),
        PLAIN.replace("(ScoreMethod)", "(Other)"),
        PLAIN.replace('"mine"', "NORMS[0]"),
        PLAIN.replace("2 / 3", "pick()"),
        PLAIN.replace("class Options:", "class Options(Base):"),
        PLAIN.replace('"of it")', '"of it")\n    prunes = pick()'),
        "if True:\n    @register('mine')\n    class Mine(ScoreMethod):\n        prunes = False\n",
        PLAIN.replace("2 / 3", "2 / 0"),
        PLAIN.replace("2 / 3", "20.0"),
        PLAIN.replace("choices=NORMS", "choices=pick()"),
        PLAIN.replace("high=10 / TENTH", "0.01"),
        PLAIN.replace("high=10 / TENTH", "width=1"),
        PLAIN.replace("high=10 / TENTH", "*NORMS"),
        PLAIN.replace("high=10 / TENTH", "**NORMS"),
        PLAIN.replace("LogUniform(", "Gaussian("),
        PLAIN + "\n        def __post_init__(self):\n            pick(self.share)\n",
        PLAIN.replace("choices=NORMS", "values=NORMS"),
        "a file that is no Python",
        "\0",
    ],
)
def test_what_has_to_be_run_is_not_guessed(tmp_path: Path, code: str) -> None:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    assert declared(BUILT_IN, tmp_path) is None


def test_a_folder_that_is_not_there_and_a_name_that_two_files_have(tmp_path: Path) -> None:
    assert declared(BUILT_IN, tmp_path / "none") is None
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(PLAIN, encoding="utf-8")
    assert declared(BUILT_IN, tmp_path) is None


def test_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLAIN + "\nraise SystemExit(0)\n", encoding="utf-8")
    code = f"import sys; from headprune.method.declared import declared; found = declared({str(tmp_path)!r})"
    code += "; assert list(found) == ['mine'], found; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
