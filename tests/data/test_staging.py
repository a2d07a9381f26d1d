from __future__ import annotations

from pathlib import Path

import pytest

from headprune.data.staging import staged_folder

MARKER = "done.json"


def fill(folder: Path, text: str) -> None:
    with staged_folder(folder, MARKER) as work:
        (work / "data").write_text(text)
        (work / MARKER).write_text("{}")


def test_folder_appears_at_the_end_and_replaces_an_earlier_result(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "result"
    with staged_folder(folder, MARKER) as work:
        (work / MARKER).write_text("{}")
        (work / "stale").write_text("old")
        assert not folder.exists()
    fill(folder, "second")
    assert sorted(path.name for path in folder.iterdir()) == ["data", MARKER]
    assert [path.name for path in folder.parent.iterdir()] == ["result"]
    assert folder.stat().st_mode == folder.parent.stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    fill(tmp_path / "result", "first")
    for name in ("result", "fresh"):
        with pytest.raises(error), staged_folder(tmp_path / name, MARKER) as work:
            (work / "data").write_text("half")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result" / "data").read_text() == "first"


def test_empty_folders_made_by_a_workflow_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "result" / "bin").mkdir(parents=True)
    fill(tmp_path / "result", "text")
    assert (tmp_path / "result" / "data").read_text() == "text"


def test_somebody_elses_folder_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(FileExistsError, match="was not made here"):
            fill(tmp_path / name, "text")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_incomplete_or_unwritable_results_are_errors(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="done.json was not written"),
        staged_folder(tmp_path / "a", MARKER),
    ):
        pass
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError):
        fill(tmp_path / "file" / "result", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
