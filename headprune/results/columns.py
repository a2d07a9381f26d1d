"""The columns of the result tables with their types, as pandas names them."""

from __future__ import annotations

CELL_COLUMNS = {
    "profile": "string",
    "track": "string",
    "dataset": "string",
    "model": "string",
    "method": "string",
    "arm": "string",
    "budget": "Int64",
    "heads_kept": "Int64",
    "n_heads": "Int64",
    "seed": "Int64",
    "split": "string",
    "metric": "string",
    "value": "Float64",
    "unit": "string",
    "batch_size": "Int64",
    "q25": "Float64",
    "q75": "Float64",
    "status": "string",
    "reason": "string",
    "metric_signature": "string",
    "signature": "string",
}
MASK_COLUMNS = {
    "profile": "string",
    "track": "string",
    "dataset": "string",
    "model": "string",
    "method": "string",
    "arm": "string",
    "budget": "Int64",
    "seed": "Int64",
    "head": "string",
    "type": "string",
    "layer": "Int64",
    "index": "Int64",
    "kept": "boolean",
    "signature": "string",
}
TRIAL_COLUMNS = {
    "profile": "string",
    "model": "string",
    "method": "string",
    "label": "string",  # of the entry that ran it first
    "seed": "Int64",
    "coefficient": "Float64",
    "heads_kept": "Int64",
    "n_heads": "Int64",
    "perplexity": "Float64",  # on the validation set, under the mask of the training itself
    "updates": "Int64",
    "seconds": "Float64",
    "status": "string",
    "reason": "string",
    "signature": "string",
}
TRIAL_MASK_COLUMNS = {
    "profile": "string",
    "model": "string",
    "method": "string",
    "label": "string",
    "seed": "Int64",
    "coefficient": "Float64",
    "head": "string",
    "type": "string",
    "layer": "Int64",
    "index": "Int64",
    "kept": "boolean",  # under the mask of the training itself
    "signature": "string",
}
CURVE_COLUMNS = {
    "profile": "string",
    "model": "string",
    "method": "string",  # unpruned: the model that all methods of a seed start from
    "arm": "string",
    "label": "string",
    "budget": "Int64",  # missing: the training serves all budgets
    "coefficient": "Float64",
    "seed": "Int64",
    "split": "string",
    "update": "Int64",
    "loss": "Float64",  # base 2, as fairseq logs it
    "nll_loss": "Float64",  # likewise, without label smoothing
    "updates": "Int64",  # of the whole training
    "cooldown": "Int64",  # updates after which gates have settled; missing: no gates
    "scheduled": "string",  # what a gate method changes while it trains
    "level": "Float64",  # and its value in this update
    "signature": "string",
}
ABLATION_COLUMNS = {
    "profile": "string",
    "model": "string",
    "kind": "string",  # drop_one: without this head; keep_one: without the others of its module
    "seed": "Int64",
    "head": "string",
    "type": "string",
    "layer": "Int64",
    "index": "Int64",
    "metric": "string",
    "value": "Float64",  # on the validation set
    "unpruned": "Float64",
    "p_value": "Float64",  # of a paired test of the track, two-sided
    "segments_differing": "Int64",  # from the unpruned model's
    "status": "string",
    "reason": "string",
    "signature": "string",
}
TUNING_COLUMNS = {
    "profile": "string",
    "model": "string",
    "method": "string",
    "entry": "string",  # its label
    "trial": "Int64",  # 0: the entry's own values
    "options": "string",  # JSON; those that are not given keep their defaults
    "seed": "Int64",
    "budget": "Int64",
    "loss": "Float64",  # on the validation set, under the hard mask, nats per token
    "heads_kept": "Int64",
    "n_heads": "Int64",
    "updates": "Int64",  # of runs that no row before has; missing: nothing is known
    "forward_sentences": "Int64",
    "backward_sentences": "Int64",
    "status": "string",
    "reason": "string",
    "chosen": "boolean",  # the cells of the entry have these options
    "signature": "string",
}
