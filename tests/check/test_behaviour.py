"""Side effects of methods: files it opens, passes it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from plug_ins import CORRECT, CheckBody, Write, failure, scorer

from headprune.check.suite import check_here
from tests.found import Found, rows


def test_a_plug_in_that_opens_files_is_refused(check_body: CheckBody, tmp_path: Path) -> None:
    """It may go by name, by numpy, or hide its traces; a file that is not there counts, too."""
    secret, absent = tmp_path / "test.fr", tmp_path / "test.de"
    secret.write_text("1 2")
    body = f"""
    def scores(self, model, batches, rng):
        numpy.loadtxt({str(secret)!r})
        try:
            open({str(absent)!r})
        except OSError:
            pass
        return torch.arange(len(HeadSpace.of(model)))
    """
    report = check_body(scorer(body))
    assert [result.title for result in report.failures] == ["no file is opened"]
    found = failure(report, "no file")
    assert found.text == f"asks for test data or files: opens {secret}, {absent}"
    assert "sees only the batches" in found.remedy


def test_the_embedded_corpora_are_no_library_files(check_body: CheckBody) -> None:
    body = """
    def scores(self, model, batches, rng):
        import gzip, pathlib, headprune
        for file in sorted(pathlib.Path(headprune.__file__).parent.glob("data/embedded/*/test.tsv.gz")):
            gzip.open(file).read(1)
        return torch.arange(len(HeadSpace.of(model)))
    """
    assert "bible-fr-en/test.tsv.gz" in failure(check_body(scorer(body)), "no file").text


def test_files_opened_at_import_count(check_body: CheckBody, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("")
    body = f"WORDS = open({str(tmp_path / 'words')!r}).read()\n" + CORRECT
    assert str(tmp_path / "words") in failure(check_body(body), "no file").text


def test_programs_count_as_files(check_body: CheckBody) -> None:
    body = """
    def scores(self, model, batches, rng):
        import subprocess
        subprocess.run(["true"])
        return torch.arange(len(HeadSpace.of(model)))
    """
    assert "subprocess.Popen(" in failure(check_body(scorer(body)), "no file").text


@pytest.mark.parametrize(
    "line",
    [
        "import pandas",
        "import pyarrow.parquet as pq",
        "from pathlib import Path",
        "from fairseq.data import indexed_dataset",
        "from fairseq import checkpoint_utils",
        "import os.path",
    ],
)
def test_what_reads_files_where_nobody_sees_it_is_refused(check_body: CheckBody, line: str) -> None:
    """Readers written in C++ leave no trace in Python; their names do."""
    body = f"""
    def scores(self, model, batches, rng):
        if model is None:
            {line}
        return torch.arange(len(HeadSpace.of(model)))
    """
    found = failure(check_body(scorer(body)), "imports only")
    assert f"imports {line.split()[1]}" in found.text
    assert "reaches files, programs or the network" in found.text


def test_passes_are_counted(write: Write) -> None:
    """Three losses with a graph and two without, of each of two batches: 3 + 2 / 3 passes."""
    file = write(
        scorer(
            """
            def scores(self, model, batches, rng):
                for batch in batches:
                    for _ in range(3):
                        example_losses(model, batch)
                    with torch.no_grad():
                        for _ in range(2):
                            example_losses(model, batch)
                return torch.arange(len(HeadSpace.of(model)))
            """
        )
    )
    (report,) = check_here(file, factor=3.7)
    (cost,) = [result for result in report.results if "costs" in result.title]
    assert (cost.status, cost.text[:11]) == ("passed", "3.7 times o")
    (report,) = check_here(file, factor=3.6)
    assert failure(report, "costs").text.startswith("costs 3.7 times one forward and backward pass")


LOOKING = """
def scores(self, model, batches, rng):
    import gc, inspect, os, sys, traceback
    {line}
    return torch.arange(len(HeadSpace.of(model)))
"""
SEARCH = "[f.f_locals['spec']['results'] for f in {frames} if 'spec' in f.f_locals]"


@rows(
    Found("sys._getframe", "passed", "sys._getframe", "the audit event", "sys._getframe(2).f_back"),
    Found("inspect.stack", "passed", "sys._getframe", "the audit event", "inspect.stack()"),
    Found("evaluated code", "passed", "sys._getframe", "the audit event", "eval('sys._getframe(1)')"),
    Found("all objects", "passed", "gc.get_objects", "the audit event", "gc.get_objects()"),
    Found(
        "a traceback",
        "passed",
        "tb_frame",
        "the audit event",
        "try: raise ValueError\n    except ValueError as error: error.__traceback__.tb_frame.f_back",
    ),
    Found(
        "frames of the standard library",
        "passed",
        "reads 'results' of the specification of its job",
        "the bait in the frames",
        SEARCH.format(frames="(f for f, _ in traceback.walk_stack(None))"),
    ),
    Found(
        "the corpus",
        "passed",
        "asks the corpus of its job for 'references'",
        "the bait in the frames",
        "[getattr(f.f_locals.get('corpus'), 'references', 0) for f, _ in traceback.walk_stack(None)]",
    ),
)
def test_a_plug_in_that_looks_for_its_job_in_the_frames_is_refused(check_body: CheckBody, found: Found) -> None:
    report = check_body(scorer(LOOKING.format(line=found.case)))
    refused = failure(report, "frames of the callers")
    assert found.right in refused.text
    assert "sees only what it is given" in refused.remedy


def test_libraries_may_look_at_frames(check_body: CheckBody) -> None:
    line = "import collections, logging, warnings\n"
    line += "    collections.namedtuple('Pair', 'a b')(1, 2)\n"
    line += "    warnings.warn('careful', stacklevel=2)\n"
    line += "    logging.getLogger('mine').warning('careful')\n"
    line += "    try: torch.zeros(2) @ torch.zeros(3)\n    except RuntimeError: traceback.format_exc()"
    report = check_body(scorer(LOOKING.format(line=line)))
    (found,) = [result for result in report.results if "frames of the callers" in result.title]
    assert found.status == "passed", found


@rows(
    Found(
        "a draw without effect", "passed", "the global random numbers of torch", "harms who comes next", "torch.rand(1)"
    ),
    Found(
        "gradients switched off", "passed", "the gradient mode", "harms who comes next", "torch.set_grad_enabled(False)"
    ),
)
def test_a_plug_in_that_changes_what_the_process_shares_is_refused(check_body: CheckBody, found: Found) -> None:
    """Though its masks are the same ones every time."""
    report = check_body(scorer(LOOKING.format(line=found.case)))
    assert failure(report, "the process is left").text == f"changes {found.right} on the encoder-decoder"
    assert torch.is_grad_enabled()
