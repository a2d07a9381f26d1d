"""The command line of every script of this folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from captions import write_caption
from common import EmptyError, Results, ResultsError, asked_for, read


def run(
    draw: Callable[[Results, Path], None],
    doc: str | None,
    argv: Sequence[str] | None,
    with_masks: bool = False,
    with_times: bool = False,
) -> int:
    """The command line of every script: RESULTS_DIR OUT_DIR [--arms …].

    :param with_times: the script shows times, speeds or memory, so that its caption names what was measured, too
    :returns: 2 when the results cannot be drawn, else 0
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results_dir", type=Path, help="folder with cells.parquet (and masks.parquet)")
    parser.add_argument("out_dir", type=Path, help="folder to write into; made when absent")
    parser.add_argument(
        "--arms", nargs="+", default=[], metavar="METHOD[.ARM]", help="only these, as in `dsp.joint`, beside unpruned"
    )
    arguments = parser.parse_args(argv)
    try:
        found = asked_for(read(arguments.results_dir, with_masks), arguments.arms)
        results = replace(found, timed=with_times)
        arguments.out_dir.mkdir(parents=True, exist_ok=True)
        try:
            draw(results, arguments.out_dir)
        except EmptyError as empty:
            write_nothing(results, arguments.out_dir, empty)
    except (ResultsError, OSError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0


def write_nothing(results: Results, out_dir: Path, empty: EmptyError) -> None:
    """Write a figure that is a sentence, and its caption."""
    from looks import save_sentence  # here, as tables need no matplotlib

    save_sentence(out_dir, empty.name, str(empty))
    write_caption(results, out_dir, empty.name, str(empty), with_metric=False)
