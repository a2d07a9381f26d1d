"""Files of other people as plain data: nothing that is in them is run."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch

_CODE = re.compile(r"GLOBAL (\S+)")
_METERS = ("AverageMeter", "StopwatchMeter", "TimeMeter")  # objects in the checkpoints of fairseq 0.9 and before


class Inert:
    """The stand-in of a class whose objects hold nothing that is needed: attributes, and no method."""


# Numbers of numpy stand among the validation scores of real checkpoints. Arrays of objects are not among them.
_NUMPY = {
    **{f"numpy.{core}.multiarray.scalar": np._core.multiarray.scalar for core in ("core", "_core")},  # type: ignore[attr-defined]
    **{f"numpy.{core}.multiarray._reconstruct": np._core.multiarray._reconstruct for core in ("core", "_core")},  # type: ignore[attr-defined]
    **{f"numpy.{kind.__name__}": kind for kind in (np.dtype, np.ndarray)},
    **{f"numpy.dtypes.{name}": getattr(np.dtypes, name) for name in np.dtypes.__all__ if name != "ObjectDType"},
}
_ALLOWED = _NUMPY | {f"fairseq.meters.{name}": Inert for name in _METERS}


def plain_data(path: str | Path) -> Any:
    """The content of a file that `torch.save` wrote, any version of it: tensors on the CPU, and plain data.

    Allowed by name are namespaces of arguments, numbers and arrays of numpy, and the meters of old fairseq, which come
    back empty of code.

    :raises ValueError: the file is damaged, or no such file, or of a newer torch, or it holds anything else, which is
        named.
    :raises FileNotFoundError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the checkpoint in it, such as {path / 'checkpoint_best.pt'}")
    try:
        with torch.serialization.safe_globals([(value, name) for name, value in _ALLOWED.items()]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if found := _CODE.search(str(error)):
            raise ValueError(
                f"{path} is refused: it holds more than tensors and plain data, {found[1]}, whose code would run. "
                "Where you trust it, load it with fairseq and save its 'model' with its 'args' or 'cfg' alone"
            ) from error
        reason = re.search(r"WeightsUnpickler error: (.*)", str(error))
        told = (reason[1].strip() if reason else "") or "torch.save writes no such file"
        raise ValueError(f"{path} is damaged, or no checkpoint at all: {told}") from error
    except (EOFError, RuntimeError, KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        newer = " (a newer torch wrote it: save it again with an older one)" if "version" in str(error) else ""
        raise ValueError(f"{path} is damaged, or no checkpoint at all: {_first_line(error)}{newer}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
