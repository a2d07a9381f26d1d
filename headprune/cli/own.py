"""The commands for models that somebody else trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()

Checkpoint = Annotated[Path, typer.Argument(help="a checkpoint of fairseq, or one pruned here")]


def inspect_checkpoint(
    checkpoint: Checkpoint,
    data: Annotated[
        Path | None, typer.Option(help="folder of its data: are the dictionaries those of the model?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show a checkpoint: architecture, heads, parameters by part, and whether it can be pruned. Runs no code in it.

    Exit status 1 if it cannot be pruned.
    """
    from headprune.own.glance import glance

    glance(checkpoint)  # before torch is imported
    from headprune.own import display, inspection

    found = inspection.inspect(checkpoint, data)
    if as_json:
        print(json.dumps(found.record, indent=2))
    else:
        display.inspection(console, found)
    if found.refusal:
        raise typer.Exit(1)


def prune_checkpoint(
    checkpoint: Checkpoint,
    data: Annotated[Path, typer.Option(help="folder of fairseq-preprocess, or of text, with a valid split")],
    out: Annotated[Path, typer.Option(help="folder for the pruned models and the page about them")],
    keep: Annotated[list[str] | None, typer.Option(help="heads kept, 24 or 50%; given again: a row for each")] = None,
    parameters: Annotated[str, typer.Option(help="instead of --keep: at most so many are left, 30M")] = "",
    speed_up: Annotated[str, typer.Option(help="likewise: one by one, so many times as fast")] = "",
    speed_up_in_batches: Annotated[str, typer.Option(help="likewise: in batches")] = "",
    lose_at_most: Annotated[str, typer.Option(help="likewise: so much of the metric on valid is lost")] = "",
    method: Annotated[str, typer.Option(help="a score method: headprune methods lists them")] = "gradient_importance",
    option: Annotated[list[str] | None, typer.Option(help="name=value of the method; may be given again")] = None,
    fine_tune: Annotated[int, typer.Option(min=0, help="updates that pruned models train on")] = 0,
    learning_rate: Annotated[float | None, typer.Option(help="of these; default: a tenth of the checkpoint's")] = None,
    bpe: Annotated[str, typer.Option(help="of the target: none, subword_nmt, sentencepiece, gpt2, or auto")] = "auto",
    tokenizer: Annotated[str, typer.Option(help="of the target: none or moses")] = "none",
    references: Annotated[Path | None, typer.Option(help="raw target sentences of the valid split, one a line")] = None,
    gpt2: Annotated[Path | None, typer.Option(help="folder with encoder.json and vocab.bpe, for --bpe gpt2")] = None,
    dictionaries: Annotated[Path | None, typer.Option(help="of text: folder of the model's dict.*.txt")] = None,
    bpe_codes: Annotated[Path | None, typer.Option(help="of text: the codes of its subwords")] = None,
    bpe_vocabulary: Annotated[list[Path] | None, typer.Option(help="their pieces; twice: of either side")] = None,
    vocabulary_threshold: Annotated[int | None, typer.Option(min=1, help="of the numbers there, the lowest")] = None,
    sentencepiece: Annotated[Path | None, typer.Option(help="of text: the SentencePiece model")] = None,
    judged: Annotated[int, typer.Option(min=1, help="sentences that the method sees")] = 1000,
    sentences: Annotated[int | None, typer.Option(min=1, help="of valid, that are translated; default: all")] = None,
    speed: Annotated[bool, typer.Option("--speed", help="measure times, too")] = False,
    beam: Annotated[int, typer.Option(min=1, help="hypotheses kept side by side")] = 5,
    seed: Annotated[int, typer.Option(help="of the sentences, the method and the training")] = 1,
) -> None:
    """Prune a trained model: heads are judged and removed, quality is measured before and after.

    The folder gets the pruned checkpoints, their masks, hypotheses, summary.json and summary.md. Called again it goes
    on, and more --keep are more rows.
    """
    given = locals().copy()
    from headprune.own import display
    from headprune.own.request import request_of

    request = request_of(given)
    display.summary(console, request.out, display.watched(console, request))
