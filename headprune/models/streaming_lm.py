"""The fairseq task `streaming_lm`: language models with a memory, trained and evaluated along contiguous rows.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairseq import utils
from fairseq.data import Dictionary, data_utils, iterators
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II

from headprune.models.streams import Segments, TokenStream

TASK = "streaming_lm"

logger = logging.getLogger(__name__)


@dataclass
class StreamingConfig(FairseqDataclass):
    data: str = field(default="???", metadata={"help": "folder of fairseq-preprocess --only-source"})
    tokens_per_sample: int = field(default=192, metadata={"help": "T, tokens of a segment"})
    no_roll_rows: bool = field(
        default=False, metadata={"help": "start every epoch of training at the same places of the corpus"}
    )
    drop_remainder: bool = field(
        default=False,
        metadata={"help": "leave out of evaluations the last tokens, fewer than rows, that do not fill all rows"},
    )
    max_target_positions: int = II("task.tokens_per_sample")
    seed: int = II("common.seed")
    train_subset: str = II("dataset.train_subset")


@register_task(TASK, dataclass=StreamingConfig)
class StreamingTask(FairseqTask):
    """Truncated back-propagation through time over contiguous rows (`headprune.models.streams`).

    `--batch-size` is the rows of training, `--batch-size-valid` those of validation, `--batch-size` of fairseq-eval-lm
    those of evaluation (1 if it is not given). In training the remainder that does not fill all rows is dropped and
    the rows are rolled at every epoch; evaluation scores every token of the corpus unless told otherwise.

    A mini-batch says in `net_input["start"]` whether the model must begin with an empty memory. A model whose memory
    is to survive a killed training has `training_memory()`, a list of tensors or None, and
    `restore_training_memory(memory)`; the memory then lies in fairseq's checkpoints, and a resumed training ends bit
    for bit like an undisturbed one. With several workers fairseq saves the state of the first only: each then resumes
    with an empty memory, once.
    """

    cfg: StreamingConfig

    def __init__(self, cfg: StreamingConfig, **unused: Any) -> None:
        super().__init__(cfg)
        self.dictionary = Dictionary.load(os.path.join(utils.split_paths(cfg.data)[0], "dict.txt"))
        self._model: Any = None  # that is being trained
        self._training: Segments | None = None
        self._workers = 1
        self._memory: Any = None  # to restore when training goes on

    @property
    def source_dictionary(self) -> Dictionary:
        return self.dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        return self.dictionary

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **unused: Any) -> None:
        """:raises FileNotFoundError: the folder has no such split."""
        paths = utils.split_paths(self.cfg.data)
        path = os.path.join(paths[(epoch - 1) % len(paths)], split)
        lines = data_utils.load_indexed_dataset(path, self.dictionary, combine=combine)
        if lines is None:
            raise FileNotFoundError(f"no data set {path}")
        self.datasets[split] = TokenStream(
            lines, self.dictionary.eos(), self.dictionary.pad(), training=split == self.cfg.train_subset
        )

    def segments(
        self, stream: TokenStream, rows: int | None, shard: int = 0, shards: int = 1, length: int | None = None
    ) -> Segments:
        """The segments of a worker's rows.

        :param rows: None: 1, in evaluation
        :param length: None: `tokens_per_sample`
        :raises ValueError: training needs a number of rows, or the stream does not fill the rows.
        """
        if rows is None and stream.training:
            raise ValueError("streaming_lm trains on rows: give their number with --batch-size")
        roll = stream.training and not self.cfg.no_roll_rows
        return Segments(
            stream,
            rows or 1,
            length or self.cfg.tokens_per_sample,
            shard,
            shards,
            drop_remainder=stream.training or self.cfg.drop_remainder,
            roll_seed=self.cfg.seed if roll else None,
        )

    def get_batch_iterator(  # type: ignore[override]
        self,
        dataset: TokenStream,
        max_sentences: int | None = None,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        skip_remainder_batch: bool = False,
        **unused: Any,
    ) -> iterators.EpochBatchIterator:
        """fairseq's own iterator over the segments, in their order. All workers have equally many."""
        segments = self.segments(dataset, max_sentences, shard_id, num_shards)
        segments.set_epoch(epoch)
        if dataset.training:
            self._training, self._workers = segments, num_shards
        return iterators.EpochBatchIterator(
            dataset=segments,
            collate_fn=only,
            batch_sampler=[[index] for index in range(len(segments))],
            num_workers=num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            disable_shuffling=True,
            skip_remainder_batch=skip_remainder_batch,
        )

    def eval_lm_dataloader(
        self,
        dataset: TokenStream,
        batch_size: int | None = None,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 1,
        data_buffer_size: int = 10,
        context_window: int = 0,
        **unused: Any,
    ) -> Any:
        """The data that fairseq-eval-lm reads.

        :raises ValueError: a context window, which the memory replaces.
        """
        if context_window > 0:
            raise ValueError("--context-window is for models without a memory; streaming_lm carries one")
        return self.get_batch_iterator(
            dataset,
            batch_size,
            num_shards,
            shard_id,
            num_workers=num_workers,
            data_buffer_size=data_buffer_size,
        ).next_epoch_itr(shuffle=False)

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Called before every epoch, and before the rest of an epoch when training goes on."""
        self._model = model
        if self._memory is not None:
            device = next(model.parameters()).device
            model.restore_training_memory([states.to(device) for states in self._memory])
            self._memory = None

    def get_checkpoint_dict(self) -> dict[str, Any]:
        """The state that fairseq saves beside the position of the iterator: the memory at this position."""
        keeps = self._workers == 1 and hasattr(self._model, "training_memory")
        memory = self._model.training_memory() if keeps else None
        if memory is not None:
            memory = [states.detach().cpu().clone() for states in memory]
        return {type(self).__name__: {"memory": memory, "shape": self._shape()}}

    def set_checkpoint_dict(self, state: Mapping[str, Any]) -> None:
        """Called after the iterator has its position back.

        :raises ValueError: rows, segments or workers are not those of the checkpoint, so that its position in the
            corpus is another one here.
        """
        if state["shape"] != self._shape():
            raise ValueError(
                f"the checkpoint was made with (rows, tokens of a segment, workers) = {tuple(state['shape'])}, "
                f"this is {tuple(self._shape())}: its place in the corpus is lost; --reset-dataloader starts an epoch"
            )
        self._memory = state["memory"]
        if self._memory is None and self._workers > 1:
            logger.warning("the memories of several workers are not in the checkpoint: each goes on with an empty one")

    def _shape(self) -> list[int]:
        assert self._training is not None
        return [self._training.rows, self._training.length, self._workers]


def only(items: list[Any]) -> Any:
    """The item of a list of one: items of `Segments` are whole mini-batches."""
    (item,) = items
    return item
