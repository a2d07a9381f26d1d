"""One training in several processes of a machine: fairseq's data-parallel training, a device each.

fairseq's own launcher starts as many processes as there are GPUs, none without one, and takes its port and world size
from Slurm's variables where it finds them. So the processes are started here, and its `distributed_main` runs in them.
"""

from __future__ import annotations

import multiprocessing.connection
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import torch
from fairseq.distributed import utils as distributed_utils
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from headprune.models.devices import repeatable
from headprune.system import stopping

POLL = 0.5  # seconds


def arguments(workers: int) -> list[str]:
    """fairseq's arguments for a training in `workers` processes; none for one."""
    if workers == 1:
        return []
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    # What fairseq sends to the others instead is a pickle that torch refuses to read.
    every = "--load-checkpoint-on-all-dp-ranks"
    return ["--distributed-world-size", str(workers), "--distributed-backend", backend, every]


def run(cfg: Any, main: Callable[[Any], None]) -> None:
    """Calls `main(cfg)` in every process of `cfg`'s world; in this one if it is alone.

    A request to stop is passed on to all; they stop at the same update. If a worker is killed and somebody watches this
    process, it ends by the same signal: the training has no fault.

    :param main: a function of a module: other processes import it
    :raises RuntimeError: fewer GPUs than workers, or a worker failed: with its trace.
    :raises Stopped: the workers have saved their state.
    """
    workers = cfg.distributed_training.distributed_world_size
    if workers == 1:
        main(cfg)
        return
    if torch.cuda.is_available() and torch.cuda.device_count() < workers:
        raise RuntimeError(f"the training has {workers} workers, this machine {torch.cuda.device_count()} GPUs")
    with rendezvous() as url:
        cfg.distributed_training.distributed_init_method = url
        cfg.distributed_training.distributed_rank = None  # each takes its own
        given = (cfg, main, torch.get_num_threads())
        context = torch.multiprocessing.start_processes(_work, given, workers, join=False, start_method=_beginning())
        try:
            _wait(context)
        finally:
            for process in context.processes:
                if process.is_alive():
                    process.kill()
                process.join()


def _beginning() -> str:
    """The way in which workers begin: as copies of a process that has imported all of it, which ends with this one.

    With GPUs as processes of their own: an import that asks for the driver would spoil it for copies.
    """
    if torch.cuda.is_available():
        return "spawn"
    torch.multiprocessing.set_forkserver_preload([__name__])
    return "forkserver"


def _end_with(parent: Any) -> None:
    """Kills this process when the one that asked for it is gone; that of which it is a copy lives as long as copies."""
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def rendezvous() -> Iterator[str]:
    """The place where the workers of one machine meet: a file, as a port might be taken."""
    with tempfile.TemporaryDirectory(prefix="headprune-") as folder:
        yield f"file://{Path(folder) / 'rendezvous'}"


def _wait(context: Any) -> None:
    told = False
    try:
        while not context.join(timeout=POLL):
            if stopping.requested() and not told:
                told = True
                for process in context.processes:
                    if process.is_alive():
                        process.terminate()
    except ProcessExitedException as error:
        if error.exit_code == stopping.EXIT_STATUS:
            raise stopping.Stopped from None
        if error.exit_code < 0 and stopping.PARENT in os.environ:
            os.kill(os.getpid(), -error.exit_code)
        raise
    except ProcessRaisedException as error:
        raise RuntimeError(str(error)) from None


def _work(index: int, cfg: Any, main: Callable[[Any], None], threads: int) -> None:
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    stopping.listen()
    compat.reset_process_state()
    compat.allow_data_parallel_on_cpu()
    torch.set_num_threads(threads)
    repeatable()
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")  # a dead peer is an error, not a silence
    with stopping.deferred(), stopping.contained():
        distributed_utils.distributed_main(index, main, cfg, {})
