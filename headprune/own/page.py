"""The page about a pruned model: what it lost, what it saved, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headprune.own.request import PruningRequest
from headprune.own.targets import KINDS, Target
from headprune.own.tuning import learning_rate
from headprune.own.workpiece import Workpiece
from headprune.tasks import TASKS

NAMES = {"bleu": "BLEU", "bleu_tokenized": "BLEU of tokens", "perplexity": "perplexity"}
IN_POINTS = "in points, more is better"
DIFFERENCES = {
    "bleu": IN_POINTS,
    "bleu_tokenized": IN_POINTS,
    "perplexity": "of log-likelihood in nats per token, more is better",
}
IN_WORDS = "whose n-gram matches or length differ; other words alone may leave these as they are"
SCORED = {"bleu": IN_WORDS, "bleu_tokenized": IN_WORDS, "perplexity": "whose likelihood differs"}


def page(request: PruningRequest, work: Workpiece, summary: Mapping[str, Any]) -> str:
    """The page as Markdown.

    :param summary: what `headprune.own.run.prune` returns
    """
    uses = [line for record in summary["models"][1:] for line in commands(request, work, record)]
    title = f"# {request.checkpoint.name}, pruned by {summary['terms']['method']['name']}"
    parts = [title, table(summary), *noise(summary), *(told(*found) for found in summary["targets"].items())]
    parts += [how(request, work, summary), "## Use", "\n".join(["```", *uses, "```"])]
    return "\n\n".join(parts) + "\n"


def how(request: PruningRequest, work: Workpiece, summary: Mapping[str, Any]) -> str:
    """The paragraph that says how the numbers were made."""
    method, metric = summary["terms"]["method"], summary["metric"]
    options = ", ".join(f"{key} {value}" for key, value in method["options"].items())
    judged = f"{request.calibration.sentences:,} {work.examples} of the train split, or all if there are fewer"
    if work.judged is not None:
        judged = f"{len(work.judged):,} other {work.examples} of it, as there is no train split"
    signature = summary["models"][0]["signatures"].get(metric)
    return (
        f"{NAMES[metric]}{f' (`{signature}`)' if signature else ''} on {len(work.measured):,} {work.examples} of the "
        f"valid split, read with {', '.join(work.reading)}; heads were judged on {judged}. Each difference is to the "
        f"unpruned model, {DIFFERENCES[metric]}, with the 95 % bootstrap interval over {work.examples}; p is two-"
        "sided, of approximate randomisation on the outputs in pairs, not corrected for the number of rows; outputs "
        f"scored differently are {work.examples} {SCORED[metric]}. Multiply-accumulates (MACs) are of one target token "
        f"in an example of mean length, without beam. Method: {method['name']}{f' ({options})' if options else ''}; "
        f"seed {' '.join([f'{request.seed}.', *further(request, work)])}"
    )


def noise(summary: Mapping[str, Any]) -> list[str]:
    """The sentence about an unpruned model that says nothing, where it does."""
    metric = summary["metric"]
    quality = next(each for task in TASKS.values() for each in task.outputs.qualities if each.metric == metric)
    value = summary["models"][0]["scores"][metric]
    if not quality.is_noise(value, value):
        return []
    return [
        f"The unpruned model has {value:.2f} {NAMES[metric]}, less than {quality.floor:g}: such models put out noise, "
        "and no difference to one says what pruning costs."
    ]


def further(request: PruningRequest, work: Workpiece) -> list[str]:
    """Sentences about what is measured or done on request."""
    found = []
    if request.timed:
        found.append(
            f"Speed-ups are measured on this machine, {work.single} by {work.single} and in batches, in pairs with the "
            "unpruned model."
        )
    if request.fine_tune:
        found.append(
            f"Pruned models were trained on for {request.fine_tune:,} updates, peak learning rate "
            f"{learning_rate(work):g}; of the ends of epochs and the last update the one with the least loss on valid "
            "was kept, so that valid has chosen a little, too."
        )
    return found


def table(summary: Mapping[str, Any]) -> str:
    """A row for every model."""
    metric = summary["metric"]
    also = [] if metric == "perplexity" else ["perplexity"]
    titles = [
        "heads",
        NAMES[metric],
        "difference (95 %)",
        "p",
        "outputs scored differently",
        *also,
        "parameters",
        "MACs",
    ]
    timed = any("speed_up" in record for record in summary["models"])
    tuned = any("before_fine_tuning" in record for record in summary["models"])
    titles += ["before fine-tuning"] if tuned else []
    titles += ["speed-up", "in batches"] if timed else []
    lines = [f"| {' | '.join(titles)} |", f"| {' | '.join(['---:'] * len(titles))} |"]
    for record in summary["models"]:
        cells = [f"{record['heads_kept']} of {record['heads']}", f"{record['scores'][metric]:.2f}", *change(record)]
        cells += [f"{record[name]:.3f}" for name in also]
        cells += [f"{record['parameters']:,}", f"{record['macs_per_token']:,.0f}"]
        if tuned:
            cells.append(f"{record.get('before_fine_tuning', record)['scores'][metric]:.2f}")
        if timed:
            cells += [f"{record.get(name, 1):.2f}" for name in ("speed_up", "speed_up_in_batches")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def told(text: str, found: Mapping[str, Any]) -> str:
    """The paragraph about what a target reached.

    :param text: of the target, `--lose-at-most 0.5`
    """
    name = next(name for name, kind in KINDS.items() if text.startswith(f"{kind.option} "))
    target = Target(name, text.split()[1])
    what, heads, beyond = target.kind.quantity, found["heads_kept"], ""
    if found["beyond_number"] is not None:
        number = target.shown(found["beyond_number"])
        beyond = f"; {found['beyond']} heads, which were tried, too, do not meet it ({what} {number})"
    order = "Masks are cuts of one ranking." if found["nested"] else "Masks of this method need not be nested."
    tried = "" if name == "parameters" else " Every number of heads that was tried is a row."
    return (
        f"Target `{text}`: {heads} heads ({what} {target.shown(found['number'])}){beyond}. Found by bisection, which "
        "knows no more than this: where a model does not change evenly with its heads, other numbers of them may meet "
        f"the target as well. {order}{tried}"
    )


def change(record: Mapping[str, Any]) -> list[str]:
    """Difference to the unpruned model, p, and outputs scored differently; dashes for that model itself."""
    test = record.get("against_unpruned")
    if test is None:
        return ["–"] * 3
    difference = f"{test['difference']:+.2f} ({test['low']:+.2f} to {test['high']:+.2f})"
    return [difference, f"{test['p_value']:.2g}", f"{test['differing']:,} of {test['segments']:,}"]


def commands(request: PruningRequest, work: Workpiece, record: Mapping[str, Any]) -> list[str]:
    """The lines that use a pruned model with fairseq's commands and from Python."""
    model = request.out / f"keep{record['heads_kept']}" / "model.pt"
    python = f"""python -c "from headprune import removal; model = removal.load('{model}')" """
    return [f"# {record['heads_kept']} heads", *work.commands(model), python.strip()]
