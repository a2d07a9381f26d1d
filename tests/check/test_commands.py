"""`headprune check`, `new-method` and `methods`: exit statuses, messages, files written."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from headprune.cli import commands
from headprune.method import load_methods, template

GOOD = """
@register("{name}")
class Mine(ScoreMethod):
    "Scores nothing."

    def scores(self, model, batches, rng):
        return torch.zeros({heads})
"""
HEADS = "len(HeadSpace.of(model))"

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(words…)`: exit status and output of `headprune words…`, on a terminal of 200 columns."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(commands, "console", Console(width=200))
        monkeypatch.setattr(sys, "argv", ["headprune", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            commands.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out + captured.err

    return run


def test_check_tells_good_from_bad(write: Write, run: Run) -> None:
    status, output = run("check", write(GOOD.format(name="good", heads=HEADS), "good.py"))
    assert status == 0
    assert "passed: 17 of 17 checks hold" in output
    status, output = run("check", write(GOOD.format(name="bad", heads="3"), "bad.py"))
    assert status == 1
    assert "scores() has shape (3,), the model 10 heads" in output
    assert "mend: return one number per head" in output
    assert "Traceback" not in output


NO_METHOD = {
    "absent": (None, "is not a file"),
    "no Python": ("def f(:", "SyntaxError"),
    "nothing registered": ("", "registers no method; decorate a class with `@register(NAME)`"),
    "a taken name": (GOOD.format(name="dsp", heads=HEADS), "method 'dsp' is defined twice: in "),
}


@pytest.mark.parametrize(("body", "message"), NO_METHOD.values(), ids=NO_METHOD.keys())
def test_what_is_no_method_is_one_line(write: Write, run: Run, tmp_path: Path, body: str | None, message: str) -> None:
    file = tmp_path / "absent.py" if body is None else write(body)
    status, output = run("check", file)
    assert status == 2
    assert message in output
    assert str(file) in output
    assert len(output.strip().splitlines()) == 1


@pytest.mark.parametrize("body", ["import sys; sys.exit(0)", "import os; os._exit(0)", "raise KeyboardInterrupt"])
def test_a_file_that_ends_the_process_when_imported_is_one_line_everywhere(run: Run, tmp_path: Path, body: str) -> None:
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "mine.py"
    file.write_text(body)
    profile = yaml.safe_load((template.REPOSITORY / "workflows/config/smoke.yaml").read_text(encoding="utf-8"))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(profile | {"methods_directories": [str(file.parent)]}))
    for words in (("methods", "--directory", file.parent), ("plan", tmp_path / "mine.yaml")):
        status, output = run(*words)
        assert status == 2
        assert f"methods file {file}: " in output
        assert "the process" in output
        assert len(output.strip().splitlines()) == 1


@pytest.mark.parametrize("kind", ["score", "gate"])
def test_new_methods_pass(run: Run, tmp_path: Path, kind: str) -> None:
    status, output = run("new-method", "my_method", "--kind", kind, "--directory", tmp_path)
    file, test = tmp_path / "my_method.py", tmp_path / "test_my_method.py"
    assert status == 0
    assert f"wrote {file}" in output
    runpy.run_path(str(test))["test_contract"]()
    assert {name: entry.kind for name, entry in load_methods(tmp_path).items()} == {"my_method": kind}
    assert "class MyMethod(" in file.read_text()


def test_a_test_that_a_new_method_comes_with_can_fail(run: Run, tmp_path: Path) -> None:
    run("new-method", "my_method", "--directory", tmp_path)
    file = tmp_path / "my_method.py"
    file.write_text(file.read_text().replace("scores = torch.cat(norms).cpu()", "scores = torch.cat(norms)[1:]"))
    with pytest.raises(AssertionError, match="my_method: "):
        runpy.run_path(str(tmp_path / "test_my_method.py"))["test_contract"]()


def test_new_methods_of_the_repository_are_tested_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is one of its own, with methods/ and tests/method, where the test finds the file."""
    for folder in ("methods", "tests/method"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(template, "REPOSITORY", tmp_path)
    file, test = template.new_method("my_method", "score", tmp_path / "methods")
    assert (file, test) == (tmp_path / "methods/my_method.py", tmp_path / "tests/method/test_my_method.py")
    assert runpy.run_path(str(test))["FILE"] == file


REFUSED = {
    "2fold": "'2fold' is no",
    "my-method": "'my-method' is no",
    "class": "'class' is no",
    "_mine": "'_mine' is no",
    "test_mine": "'test_mine' is no",
    "dsp": "method 'dsp' exists, in ",
    "there": "there.py exists; nothing is written",
}


@pytest.mark.parametrize(("name", "message"), REFUSED.items(), ids=REFUSED.keys())
def test_new_methods_refuse_names(run: Run, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "there.py").write_text("# nothing registered\n")
    (tmp_path / "there.py").chmod(0o600)
    status, output = run("new-method", name, "--directory", tmp_path)
    assert status == 2
    assert message in output
    assert [path.name for path in tmp_path.glob("*.py")] == ["there.py"]
    assert (tmp_path / "there.py").read_text() == "# nothing registered\n"


def test_new_methods_refuse_kinds_and_folders(run: Run, tmp_path: Path) -> None:
    status, output = run("new-method", "mine", "--kind", "scores", "--directory", tmp_path)
    assert (status, "unknown kind 'scores'; did you mean 'score'?" in output) == (2, True)
    status, output = run("new-method", "mine", "--directory", tmp_path / "absent")
    assert (status, "does not exist" in output) == (2, True)


def test_methods_are_listed(run: Run) -> None:
    status, output = run("methods")
    lines = [line.split() for line in output.splitlines()]
    known = load_methods()
    assert status == 0
    for entry in known.values():
        (line,) = [line for line in lines if line[:2] == [entry.name, entry.kind]]
        assert line[2] == entry.summary.split()[0]


def test_a_method_is_shown_with_options_and_card(run: Run, write: Write, tmp_path: Path) -> None:
    status, output = run("methods", "gradient_importance")
    assert status == 0
    assert "where the absolute value is taken (example, position, batch, signed)" in output
    assert "Deviations from the released code" in output
    status, output = run("methods", "l0")
    assert "0.01 to 1, log scale" in " ".join(output.split())
    write(GOOD.format(name="mine", heads=HEADS))
    status, output = run("methods", "mine", "--directory", tmp_path)
    assert f"no fidelity card: {tmp_path / 'mine.md'} would be it" in output
    (tmp_path / "mine.md").write_text("# mine\n\nSome *proof*.\n")
    status, output = run("methods", "mine", "--directory", tmp_path)
    assert "Some proof." in output


def test_an_unknown_method_gets_the_nearest(run: Run) -> None:
    status, output = run("methods", "dps")
    assert status == 2
    assert "unknown method 'dps'; did you mean 'dsp'? available: " in output
