"""The page about a pruned model: what it lost, what it saved, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headprune.own.request import PruningRequest
from headprune.own.workpiece import Workpiece

NAMES = {"bleu": "BLEU", "bleu_tokenized": "BLEU of tokens"}


def page(request: PruningRequest, work: Workpiece, summary: Mapping[str, Any]) -> str:
    """The page as Markdown.

    :param summary: what `headprune.own.run.prune` returns
    """
    method, metric = summary["terms"]["method"], summary["metric"]
    options = ", ".join(f"{key} {value}" for key, value in method["options"].items())
    judged = f"{request.calibration.sentences:,} sentences of the train split, or all if there are fewer"
    if work.judged is not None:
        judged = f"{len(work.judged):,} other sentences of it, as there is no train split"
    lines = [
        f"# {request.checkpoint.name}, pruned by {method['name']}",
        "",
        table(summary),
        "",
        f"{NAMES[metric]} (`{summary['models'][0]['signatures'].get(metric, '')}`) on {len(work.measured):,} sentences "
        f"of the valid split; heads were judged on {judged}. Each difference is to the unpruned model, "
        "with the 95 % bootstrap interval over sentences; p is two-sided, of approximate randomisation on the same "
        "outputs, not corrected for the number of rows. Multiply-accumulates are of one target token in a pair of "
        f"mean length, without beam. Method: {method['name']}{f' ({options})' if options else ''}; "
        f"seed {request.seed}.",
        "",
        "## Use",
        "",
        "```",
        *(line for record in summary["models"][1:] for line in commands(request, work, record)),
        "```",
        "",
    ]
    return "\n".join(lines)


def table(summary: Mapping[str, Any]) -> str:
    """A row for every model."""
    metric = summary["metric"]
    titles = [
        "heads",
        NAMES[metric],
        "difference (95 %)",
        "p",
        "outputs that differ",
        "perplexity",
        "parameters",
        "MACs",
    ]
    lines = [f"| {' | '.join(titles)} |", f"| {' | '.join(['---:'] * len(titles))} |"]
    for record in summary["models"]:
        test = record.get("against_unpruned")
        change = [f"{test['difference']:+.2f} ({test['low']:+.2f} to {test['high']:+.2f})" if test else "–"]
        change += [f"{test['p_value']:.2g}" if test else "–"]
        change += [f"{test['differing']:,} of {test['segments']:,}" if test else "–"]
        cells = [f"{record['heads_kept']} of {record['heads']}", f"{record['scores'][metric]:.2f}", *change]
        cells += [f"{record['perplexity']:.3f}", f"{record['parameters']:,}", f"{record['macs_per_token']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def commands(request: PruningRequest, work: Workpiece, record: Mapping[str, Any]) -> list[str]:
    """The lines that use a pruned model with fairseq's commands and from Python."""
    model = request.out / f"keep{record['heads_kept']}" / "model.pt"
    user = '--user-dir "$(headprune user-dir)"'
    pair = "-s {} -t {}".format(*work.corpus.pair)
    return [
        f"# {record['heads_kept']} heads",
        f"fairseq-generate {request.data} {user} {pair} --gen-subset valid --path {model}",
        f"fairseq-interactive {request.data} {user} {pair} --path {model}",
        f"""python -c "from headprune import removal; model = removal.load('{model}')" """.strip(),
    ]
