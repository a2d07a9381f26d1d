"""The registry: what a file of methods must be, and what is said when it is not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.heads import HeadSpace
from headprune.method import Entry, GateMethod, NoOptions, Ranking, ScoreMethod, load_methods, option, register, unknown
from headprune.method import registry as registry_module
from headprune.method.registry import BUILT_IN
from tests.found import Found, rows

METHODS = load_methods()
SPACE = HeadSpace.from_names([f"encoder.{layer}.{head}" for layer in range(2) for head in range(3)])

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are forgotten after it."""
    monkeypatch.setattr(registry_module, "_REGISTRY", dict(registry_module._REGISTRY))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(file, body)`: a file in the test's own folder of methods, after the usual imports; returns the folder."""

    def write(file: str, body: str, folder: str = "mine") -> Path:
        directory = tmp_path / folder
        directory.mkdir(exist_ok=True)
        imports = "from dataclasses import dataclass\nimport torch\n"
        imports += "from headprune import method\n"
        imports += "from headprune.method import GateMethod, ScoreMethod, option, register\n"
        (directory / file).write_text(imports + body)
        return directory

    return write


def scorer(name: str) -> str:
    return (
        f'@register("{name}", paper="Someone 2026")\n'
        "class Mine(ScoreMethod):\n"
        '    """First line.\n\n    More."""\n'
        "    def scores(self, model, batches, rng):\n"
        "        return torch.arange(24.0)\n"
    )


ENDED = "the process is gone, with the status that the file chose"


@rows(
    Found("sys.exit(0)", ENDED, "tries to end the process: sys.exit(0) when", "an error", "import sys; sys.exit(0)"),
    Found("SystemExit", ENDED, "tries to end the process: sys.exit() when", "an error", "raise SystemExit"),
    Found("KeyboardInterrupt", ENDED, "raises KeyboardInterrupt when", "an error", "raise KeyboardInterrupt"),
    Found("os._exit(0)", ENDED, "ends the process with exit status 0 when", "an error", "import os; os._exit(0)"),
    Found(
        "exec", ENDED, "ends the process with exit status 0 when", "an error", "import os; os.execv('/bin/true', ['t'])"
    ),
    Found("a signal", ENDED, "ends the process by SIGKILL when", "an error", "import os; os.kill(os.getpid(), 9)"),
    Found("an endless loop", "hangs", "does not end within 1 seconds (", "a stated time", "while True: pass"),
    Found(
        "an endless loop that nothing interrupts",
        "hangs",
        "does not end within 1 seconds (",
        "a stated time",
        "while True:\n    try:\n        input() or [0] * 9\n    except BaseException:\n        pass",
    ),
)
def test_a_file_that_ends_or_holds_the_process_when_imported_is_an_error_that_names_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, found: Found
) -> None:
    monkeypatch.setenv("HEADPRUNE_IMPORT_SECONDS", "1" if "endless" in found.given else "60")
    folder, before = write("good.py", scorer("good")), {*sys.modules}
    write("mine.py", f"print('half way')\n{found.case}\n" + scorer("mine"))
    with pytest.raises(ImportError) as error:
        load_methods(folder)
    assert str(error.value).startswith(f"methods file {folder / 'mine.py'}: ")
    assert found.right in str(error.value)
    assert not [name for name in {*sys.modules} - before if name.startswith("headprune_methods_mine_")]


def test_a_good_file_is_imported_once_in_this_process(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    load_methods(write("mine.py", "print('imported')\n" + scorer("mine")))
    assert capfd.readouterr().out == "imported\n"


def test_options_that_exit_are_an_error(write: Write) -> None:
    """They are made while a run is planned."""
    body = "@dataclass(frozen=True)\nclass Own:\n    p: float = 1.0\n"
    body += "    def __post_init__(self):\n        raise SystemExit(0)\n"
    entry = load_methods(write("mine.py", body + scorer("mine") + "\n    Options = Own\n"))["mine"]
    with pytest.raises(ValueError, match=r"method 'mine': tries to end the process: sys.exit\(0\)"):
        entry.options({})


def test_in_a_job_a_file_that_calls_exit_is_an_error(write: Write) -> None:
    """No copy of the process tries it before: jobs have a supervisor for what kills them."""
    folder = write("mine.py", "import sys; sys.exit(0)")
    code = f"from headprune.method import load_methods\nload_methods({str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HEADPRUNE_SUPERVISED": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"MethodFileError: methods file {folder / 'mine.py'}: tries to end the process: sys.exit(0)" in done.stderr


def test_every_file_of_methods_registers_a_method() -> None:
    assert BUILT_IN.samefile(Path(__file__).parents[2] / "methods")
    assert {entry.file for entry in METHODS.values()} == set(BUILT_IN.glob("*.py"))
    assert {"dsp", "gradient_importance", "magnitude", "random", "unpruned"} <= set(METHODS)


@pytest.mark.parametrize("entry", METHODS.values(), ids=METHODS.keys())
def test_entries_tell_about_their_method(entry: Entry) -> None:
    assert entry.kind == ("gate" if issubclass(entry.method, GateMethod) else "score")
    assert entry.method.name == entry.name
    assert METHODS[entry.name] is entry
    assert entry.sha256 == hashlib.sha256(entry.file.read_bytes()).hexdigest()
    assert entry.summary.endswith(".")
    assert "\n" not in entry.summary


@pytest.mark.parametrize("entry", METHODS.values(), ids=METHODS.keys())
def test_every_option_has_a_default_and_a_help_text(entry: Entry) -> None:
    chosen = entry.options({})
    for name, item in type(chosen).__dataclass_fields__.items():
        assert getattr(chosen, name) == item.default
        assert item.metadata["help"]
    with pytest.raises(AttributeError):
        chosen.new = 1


def test_a_folder_of_a_user_is_loaded_beside_the_own(write: Write) -> None:
    folder = write("mine.py", scorer("mine"))
    assert set(load_methods(folder)) == {"mine"}
    both = load_methods(BUILT_IN, folder)
    assert set(both) == {*METHODS, "mine"}
    assert list(both) == sorted(both)
    entry = both["mine"]
    assert (entry.kind, entry.paper, entry.summary) == ("score", "Someone 2026", "First line.")
    assert entry.file == folder / "mine.py"
    assert entry.options({}) == NoOptions()
    assert entry.method(entry.options({})).scores(None, [], None).tolist() == list(range(24))


def test_loading_again_gives_the_same_classes(write: Write) -> None:
    folder = write("mine.py", scorer("mine"))
    assert load_methods(str(folder))["mine"].method is load_methods(folder)["mine"].method
    assert load_methods()["dsp"].method is METHODS["dsp"].method


def test_files_of_one_name_in_two_folders_do_not_mix(write: Write) -> None:
    first, second = write("mine.py", scorer("one"), "a"), write("mine.py", scorer("two"), "b")
    assert set(load_methods(first, second)) == {"one", "two"}
    assert set(load_methods(second)) == {"two"}


def test_files_with_an_underscore_are_no_methods(write: Write) -> None:
    folder = write("_helper.py", "raise RuntimeError\n")
    assert load_methods(folder) == {}


def test_a_name_taken_by_another_file_is_refused(write: Write) -> None:
    write("one.py", scorer("mine"))
    folder = write("two.py", scorer("mine"))
    with pytest.raises(ValueError, match=r"method 'mine' is defined twice: in .*one\.py and in .*two\.py"):
        load_methods(folder)


def test_a_built_in_name_is_refused(write: Write) -> None:
    with pytest.raises(ValueError, match=r"method 'dsp' is defined twice: in .*dsp\.py and in .*mine\.py"):
        load_methods(BUILT_IN, write("mine.py", scorer("dsp")))


BROKEN = {
    "no Python": ("def f(:\n", "SyntaxError"),
    "a missing library": ("import no_such_library\n", "ModuleNotFoundError"),
    "an error": ("1 / 0\n", "ZeroDivisionError"),
    "neither contract": ('@register("mine")\nclass Mine:\n    pass\n', "must derive from ScoreMethod or GateMethod"),
    "mutable default of an option": (
        '@register("mine")\nclass Mine(ScoreMethod):\n'
        "    @dataclass(frozen=True)\n    class Options:\n        layers: list = option([], 'layers')\n",
        "mutable default",
    ),
    "a space without values": (
        '@register("mine")\nclass Mine(ScoreMethod):\n    @dataclass(frozen=True)\n    class Options:\n'
        "        p: float = option(2.0, 'norm', space=method.LogUniform(0, 4))\n",
        "a space from 0 to 4 on a log scale: the bounds must be positive",
    ),
    "a space without the default": (
        '@register("mine")\nclass Mine(ScoreMethod):\n    @dataclass(frozen=True)\n    class Options:\n'
        "        p: float = option(2.0, 'norm', space=method.Uniform(3, 4))\n",
        "method 'mine': option 'p' is 2.0 unless given, which its space lacks: 3 to 4",
    ),
}


@pytest.mark.parametrize(("body", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named(write: Write, body: str, reason: str) -> None:
    folder = write("broken.py", body)
    with pytest.raises(ImportError) as error:
        load_methods(folder)
    assert str(folder / "broken.py") in str(error.value)
    assert reason in str(error.value)


def test_a_broken_file_is_read_again_when_mended(write: Write) -> None:
    folder = write("mine.py", "1 / 0\n")
    with pytest.raises(ImportError):
        load_methods(folder)
    write("mine.py", scorer("mine"))
    assert set(load_methods(folder)) == {"mine"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="methods directory .*nowhere does not exist"):
        load_methods(tmp_path / "nowhere")


def test_a_title_is_a_text() -> None:
    with pytest.raises(TypeError, match="method 'mine': title is 3; it must be a text"):

        @register("mine")
        class Mine(ScoreMethod):
            title = 3  # type: ignore[assignment]


def test_one_contract_only() -> None:
    with pytest.raises(TypeError, match="'mine': Mine must derive from ScoreMethod or GateMethod"):

        @register("mine")
        class Mine:
            pass


def test_unknown_names_get_the_nearest() -> None:
    message = unknown("method", "dps", ["random", "dsp"])
    assert message == "unknown method 'dps'; did you mean 'dsp'? available: dsp, random"
    assert unknown("method", "xyzzy", ["b", "a"]) == "unknown method 'xyzzy'; available: a, b"
    assert unknown("method", "dsp", []) == "unknown method 'dsp'; available: none"


@dataclass(frozen=True)
class Options:
    whole: int = option(4, "a number")
    real: float = option(0.5, "a number")
    word: str = option("a", "a word")
    flag: bool = option(False, "a flag")
    free: str | None = option(None, "anything")

    def __post_init__(self) -> None:
        if self.whole < 1:
            raise ValueError(f"option 'whole' is {self.whole}; it must be at least 1")


class Optional(ScoreMethod):
    Options = Options


ENTRY = Entry("some", "score", Optional, "", Path(__file__))


def test_options_take_values_of_the_type_of_their_default() -> None:
    values = {"whole": 7, "real": 2, "word": "b", "flag": True, "free": "b"}
    assert ENTRY.options(values) == Options(**values)
    assert ENTRY.options({}) == Options()


BAD_OPTIONS = [
    ({"whoel": 1}, "method 'some': unknown option 'whoel'; did you mean 'whole'? available: flag, free, real, "),
    ({"whole": 1.5}, "method 'some': option 'whole' is 1.5; it must be int like its default 4"),
    ({"whole": True}, "option 'whole' is True; it must be int"),
    ({"whole": "1"}, "option 'whole' is '1'; it must be int"),
    ({"real": "x"}, "option 'real' is 'x'; it must be float like its default 0.5"),
    ({"real": False}, "option 'real' is False; it must be float"),
    ({"word": 1}, "option 'word' is 1; it must be str"),
    ({"flag": 1}, "option 'flag' is 1; it must be bool"),
    ({"flag": "yes"}, "option 'flag' is 'yes'; it must be bool"),
    ({"whole": 0}, "method 'some': option 'whole' is 0; it must be at least 1"),
    ({"word": None}, "option 'word' is None; it must be str"),
]


@pytest.mark.parametrize(("values", "message"), BAD_OPTIONS, ids=[str(values) for values, _ in BAD_OPTIONS])
def test_bad_options_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        ENTRY.options(values)
    assert message in str(error.value)


BAD_VALUES = [
    ("dsp", {"start": -1.0}, "temperatures must be positive"),
    ("dsp", {"end": 0.0}, "temperatures must be positive"),
    ("dsp", {"cooldown": 1.1}, "option 'cooldown' is 1.1"),
    ("gradient_importance", {"estimator": "exmaple"}, "option 'estimator' is 'exmaple'; available: example, position"),
    ("gradient_importance", {"step": 0}, "option 'step' is 0; it must be at least 1"),
    ("magnitude", {"norm": "l1"}, "option 'norm' is 'l1'; available: blocks, product"),
]


@pytest.mark.parametrize(("method", "values", "message"), BAD_VALUES)
def test_methods_refuse_values_without_meaning(method: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        METHODS[method].options(values)
    assert f"method {method!r}: " in str(error.value)
    assert message in str(error.value)


def test_rankings_name_every_head_once() -> None:
    for removal in ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 4), (0, 1, 2, 3, 4, 6)):
        with pytest.raises(ValueError, match="each of the 6 heads once"):
            Ranking(SPACE, removal)


def test_ranking_by_score_and_its_cuts() -> None:
    """Lowest first; of equal scores the later head first."""
    ranking = Ranking.by_score(SPACE, torch.tensor([0.5, 0.1, 0.5, 0.9, 0.1, 0.5]))
    assert ranking.removal == (4, 1, 5, 2, 0, 3)
    assert [ranking.mask(k).keep for k in (0, 1, 3, 6)] == [
        (0, 0, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0),
        (1, 0, 1, 1, 0, 0),
        (1, 1, 1, 1, 1, 1),
    ]
    for budget in (-1, 7):
        with pytest.raises(ValueError, match=f"budget {budget} is outside 0…6"):
            ranking.mask(budget)


@pytest.mark.parametrize("shape", [(5,), (7,), (6, 1), ()])
def test_scores_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="for a head space of 6"):
        Ranking.by_score(SPACE, torch.zeros(shape))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_are_finite(bad: float) -> None:
    with pytest.raises(ValueError, match=r"score of head encoder\.1\.0 is not a finite number"):
        Ranking.by_score(SPACE, torch.tensor([0, 0, 0, bad, 0, bad]))


def test_methods_that_override_nothing_say_so() -> None:
    class Empty(ScoreMethod):
        pass

    class EmptyGates(GateMethod):
        pass

    with pytest.raises(TypeError, match="Empty overrides none of `scores`, `rank` and `masks`"):
        Empty().scores(torch.nn.Identity(), [], torch.Generator())
    gates = EmptyGates(SPACE, 2, NoOptions(), torch.Generator())
    for call, name in ((gates.sample, "sample"), (gates.keep, "keep")):
        with pytest.raises(TypeError, match=f"EmptyGates does not override `{name}`"):
            call(None)
