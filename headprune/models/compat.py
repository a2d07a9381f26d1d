"""Remedies that fairseq needs to run well today: the only place that knows its quirks. Import it before fairseq.

- Importing fairseq configures the root logger when nobody has; so it is configured here first.
- `torch.load` refuses `argparse.Namespace`, which every legacy fairseq checkpoint holds; it is declared safe: plain
  attributes, no code.
- fairseq imports scikit-learn, pandas and scipy for the scores of two tasks: more than half of its start-up time. They
  are imported when one of the scores is asked for.
- fairseq cuts text at the ends of lines (`--sample-break-mode eos`) with a name of numpy 1, `np.compat.long`; numpy 2
  gets it back.
- hydra prints deprecation warnings on every start, and torch one about the masks of attention.
- `--bf16` from the command line means TPU to fairseq; `use_device_bf16` takes that back.
- With `--bf16` its optimiser clips gradients of the summed loss, and scales them afterwards, all by one factor: groups
  that are clipped at norms of their own would be so in other units, and shrink with the others. They are scaled first.
- Where a batch does not fit into memory fairseq skips it, for ever if none does; `around_updates` has it raise.
- Batches are made once, with a seed that the first epoch of the process is a part of: a training that goes on in a
  later epoch would have others; `around_updates` makes them as the first epoch does.
- It gives torch's data-parallel wrapper a GPU's number even where there is none; `allow_data_parallel_on_cpu`.
- It has hydra compose some 250 arguments, half a second for every training and for many a checkpoint; they are put one
  by one into what hydra composes of the names of the parts, which is kept.
- There is no hook at the end of an update; `around_updates` is one.
- After every update it forgets the peak memory of the GPU, to log what was free; `around_updates` leaves it alone.
- The best validation score, the counts of early stopping and the meters live in function attributes and module
  globals; `reset_process_state` makes one process fit for several trainings.
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

if not logging.getLogger().handlers:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
warnings.filterwarnings("ignore", module=r"hydra\..*")
warnings.filterwarnings("ignore", message=r".*(version_base|hydra|_self_|strict flag).*", category=UserWarning)

warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")

import numpy  # noqa: E402
import torch  # noqa: E402

if not hasattr(numpy, "compat"):
    numpy.compat = SimpleNamespace(long=int)  # type: ignore[attr-defined]
torch.serialization.add_safe_globals([argparse.Namespace])


ON_DEMAND = {"sklearn.metrics": ("f1_score", "matthews_corrcoef"), "scipy.stats": ("pearsonr", "spearmanr")}


@contextmanager
def _scores_on_demand() -> Iterator[None]:
    """Within the context, the modules of `ON_DEMAND` import as functions that import the real ones when called."""
    stand_ins: dict[str, ModuleType] = {}
    for name, functions in ON_DEMAND.items():
        package, _, attribute = name.partition(".")
        if package not in sys.modules:
            stand_ins |= {package: ModuleType(package), name: ModuleType(name)}
            stand_ins[package].__path__ = []
            setattr(stand_ins[package], attribute, stand_ins[name])
            for function in functions:
                setattr(stand_ins[name], function, _on_demand(name, function))
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _on_demand(module: str, function: str) -> Any:
    return lambda *args, **kwargs: getattr(importlib.import_module(module), function)(*args, **kwargs)


with _scores_on_demand():
    import fairseq
import fairseq.dataclass.utils as _dataclass_utils  # noqa: E402
import fairseq.logging.metrics as _metrics  # noqa: E402
from fairseq import checkpoint_utils as _checkpoint_utils  # noqa: E402
from fairseq.optim.fp16_optimizer import FP16Optimizer as _FP16Optimizer  # noqa: E402
from hydra import initialize_config_dir as _initialize_config_dir  # noqa: E402
from hydra.core.override_parser.overrides_parser import OverridesParser as _OverridesParser  # noqa: E402
from omegaconf import OmegaConf as _OmegaConf  # noqa: E402

_compose = _dataclass_utils.compose


@functools.cache
def _composed_of_parts(name: str, parts: tuple[str, ...]) -> Any:
    with _initialize_config_dir(str(Path(fairseq.__file__).with_name("config"))):
        return _compose(name, overrides=list(parts), strict=False)


@functools.lru_cache(4096)
def _parsed(line: str) -> tuple[str, Any]:
    override = _OverridesParser.create().parse_override(line)
    return override.key_or_group, override.value()


def _compose_by_parts(name: str, overrides: list[str], strict: bool = False) -> Any:
    """The configuration that hydra composes of `part=choice` and `part.key=value`: keys are set last, as hydra does."""
    parts = {line: "." not in line.partition("=")[0] for line in overrides}
    found = copy.deepcopy(_composed_of_parts(name, tuple(line for line in overrides if parts[line])))
    for line in overrides:
        if not parts[line]:
            _OmegaConf.update(found, *_parsed(line), merge=True)
    return found


_dataclass_utils.compose = _compose_by_parts
_dataclass_utils.initialize = lambda config_path: nullcontext()  # looks for it through the stack of all callers

_clip_and_scale_later = _FP16Optimizer.clip_grad_norm


def _scale_and_clip(self: Any, max_norm: float, aggregate_norm_fn: Callable[..., Any] | None = None) -> Any:
    """`FP16Optimizer.clip_grad_norm`: with bf16, which has no loss scale, that of the optimiser in single precision."""
    if self.scaler is not None:
        return _clip_and_scale_later(self, max_norm, aggregate_norm_fn)
    self._unscale_grads()
    return self.fp32_optimizer.clip_grad_norm(max_norm, aggregate_norm_fn)


_FP16Optimizer.clip_grad_norm = _scale_and_clip


def use_device_bf16(cfg: Any) -> None:
    """Undoes fairseq's reading of `--bf16` as "train on a TPU"; call on a converted configuration."""
    cfg.common.tpu = False
    cfg.distributed_training.tpu = False


def reset_process_state() -> None:
    """Forgets what an earlier training of this process left behind."""
    import fairseq_cli.train as train_cli

    for function, names in (
        (_checkpoint_utils.save_checkpoint, ("best",)),
        (train_cli.should_stop_early, ("best", "num_runs")),
    ):
        for name in names:
            if hasattr(function, name):
                delattr(function, name)
    _metrics.reset()


def allow_data_parallel_on_cpu() -> None:
    """Lets fairseq's data-parallel training run in this process without a GPU, with the wrapper that it uses on one."""
    import fairseq.models.distributed_fairseq_model as module
    from torch.nn.parallel import DistributedDataParallel

    def wrap(module: Any, device_ids: Any = None, output_device: Any = None, **arguments: Any) -> Any:
        return DistributedDataParallel(module, **arguments)

    if not torch.cuda.is_available():
        module.DistributedDataParallel = wrap


@contextmanager
def around_updates(hook: Callable[..., Any], before: Callable[[Any, Any], Any] | None = None) -> Iterator[None]:
    """Within the context, trainings call `hook(proceed, cfg, trainer, task, epoch_itr)` at the end of every update, and
    `before(trainer, samples)` at its beginning.

    `proceed()` validates and saves as fairseq would; the hook returns its result. A batch that does not fit into memory
    is an error. A training that goes on has the batches that it began with. Peak memory is that of all updates.
    """
    import fairseq_cli.train as train_cli
    from fairseq.tasks import FairseqTask
    from fairseq.trainer import Trainer

    validate_and_save, train_step = train_cli.validate_and_save, Trainer.train_step
    get_batch_iterator = FairseqTask.get_batch_iterator

    def hooked(cfg: Any, trainer: Any, task: Any, epoch_itr: Any, *rest: Any) -> Any:
        return hook(lambda: validate_and_save(cfg, trainer, task, epoch_itr, *rest), cfg, trainer, task, epoch_itr)

    def strict(self: Any, samples: Any, raise_oom: bool = True) -> Any:
        self.cuda_env = None  # for that log alone
        if before is not None:
            before(self, samples)
        return train_step(self, samples, raise_oom=True)

    def steady(self: Any, dataset: Any, *args: Any, epoch: int = 1, **kwargs: Any) -> Any:
        kept = self.can_reuse_epoch_itr(dataset) and not kwargs.get("disable_iterator_cache")
        return get_batch_iterator(self, dataset, *args, epoch=1 if kept else epoch, **kwargs)

    FairseqTask.get_batch_iterator = steady
    train_cli.validate_and_save, Trainer.train_step = hooked, strict
    try:
        yield
    finally:
        train_cli.validate_and_save, Trainer.train_step = validate_and_save, train_step
        FairseqTask.get_batch_iterator = get_batch_iterator
