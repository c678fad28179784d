"""How does a fit survive a crash? A checkpoint: its `LoopState` in a file, written after a pass.

One NPZ archive, read without pickle: the arrays and numbers of the `LoopState`, and ``about``, JSON
text that says what fit they belong to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from fastnn.backends.base import Data, TrainState
from fastnn.core.embedding import Encoded
from fastnn.core.family import is_count
from fastnn.training.archive import is_later, open_archive, read_array
from fastnn.training.callbacks import Origin
from fastnn.training.state import LoopState

FORMAT = "fastnn checkpoint 1"

# Fields of a LoopState that are no arrays or numbers, or that say why the process before ended.
_APART = frozenset({"state", "rules", "plan", "schedule", "random_state", "stopped", "origin"})


class CheckpointError(ValueError):
    """A file that is no checkpoint, or the checkpoint of another fit."""


class Checkpoint:
    """Keeps a fit in a file, so that the same fit, called again, goes on where it was interrupted.

    Given to ``set_callbacks`` of an estimator. A fit on minibatches that is killed, and then called
    with the same parameters and data in a new process, ends with the very numbers, to the bit, of a
    fit that was never interrupted. If it had ended, its result comes at once. ``verbose``,
    ``n_threads`` and ``max_time``, which counts from the resumption, may be others.

    Parameters
    ----------
    path : path-like
        The file, an NPZ archive. It is replaced only when the new one is complete, and remains when
        the fit has ended. Each fit needs its own.
    every : int, default=1
        It is written after every so many passes, and after the last; set it behind callbacks that
        may end the fit.

    Raises
    ------
    CheckpointError
        In ``fit``, if the file is damaged or no checkpoint, or belongs to a fit with other
        parameters, data or starting point.
    ValueError
        In ``fit``, if the solver is 'lbfgs' or the estimator is a bag; in ``fit_batches``.
    FileNotFoundError
        In ``fit``, if the file's folder does not exist.

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> from fastnn.callbacks import Checkpoint
    >>> model = MLPClassifier(random_state=0).set_callbacks(Checkpoint("fit.npz", every=10))
    >>> model.fit(X, y)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path = os.fspath(path)
        self.every = every
        if not is_count(every):
            raise ValueError(f"every must be a whole number of passes, at least 1, got {every!r}.")

    def on_fit_begin(self, loop: LoopState, origin: Origin) -> None:
        """Put ``loop`` where the file says, if there is one."""
        if not isinstance(loop, LoopState):
            raise ValueError(
                "Checkpoint keeps the fit of one network, and a bag trains several side by side."
                " Remove the callback by set_callbacks()."
            )
        if loop.plan is None:
            raise ValueError(
                "Checkpoint cannot be used with solver='lbfgs': SciPy keeps what L-BFGS remembers,"
                " so that it cannot go on later. Use another solver, or remove the callback by"
                " set_callbacks()."
            )
        if not loop.rules.converge:
            raise ValueError(
                "Checkpoint is for fit. partial_fit and fit_batches go on from the model as it is:"
                " keep the model itself between two calls."
            )
        folder = os.path.dirname(os.path.abspath(self.path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"There is no folder {folder} to write the checkpoint to.")
        loop.origin = _described(loop, origin)
        if os.path.exists(self.path):
            about, arrays = _read(self.path)
            try:
                self._check(about, loop.origin)
                _check_fits(loop, about, arrays)
            except CheckpointError:
                raise
            except Exception as error:  # whatever is not as _write left it
                raise _damaged(self.path, error) from error
            _restore(loop, about, arrays)

    def on_pass_end(self, loop: LoopState) -> None:
        """Write the file, if it is time to."""
        ended = loop.stopped or loop.n_iter >= loop.rules.max_iter
        if ended or loop.n_iter % self.every == 0:
            _write(self.path, loop)

    def _check(self, about: dict[str, Any], origin: dict[str, Any]) -> None:
        """CheckpointError unless the file's fit started from ``origin``."""
        then, now = about["origin"]["parameters"], origin["parameters"]
        others = [
            f"{name}={then.get(name)} there, {name}={now.get(name)} here"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]
        if others:
            found = f"parameters ({'; '.join(others)})"
        elif about["origin"]["data"] != origin["data"]:
            found = "data (X, y or weights)"
        elif about["origin"]["start"] != origin["start"]:
            found = "first weights or another random_state"
        else:
            return
        raise CheckpointError(
            f"{self.path} is the checkpoint of a fit with other {found}. Delete it to start anew,"
            " or give this fit a file of its own."
        )


# ---- what a fit started from


def _described(loop: LoopState, origin: Origin) -> dict[str, Any]:
    """``origin`` as JSON can hold it: arrays as their SHA-256."""
    assert loop.random_state is not None
    validation = () if origin.validation is None else _arrays_of(origin.validation)
    start: tuple[Any, ...] = ()
    if origin.seeded:
        start = (loop.rows, loop.held_out, *_leaves(loop.random_state.get_state(legacy=False)))
    if origin.seeded or origin.warm:
        start = (loop.params, *start)
    return {
        "parameters": origin.parameters(),
        "data": _digest((*_arrays_of(origin.data), *validation)),
        "start": _digest(start),
    }


def _arrays_of(data: Data) -> Iterator[Any]:
    X = data.X
    if isinstance(X, Encoded):
        yield from (X.bins, X.fractions, X.indicators, X.codes)
    else:
        yield from (X,) if isinstance(X, np.ndarray) else (X.data, X.indices, X.indptr)
    yield from (X.shape, data.y, 0 if data.weight is None else data.weight)


def _leaves(state: dict[str, Any]) -> Iterator[Any]:
    """The values of nested dicts."""
    for value in state.values():
        yield from _leaves(value) if isinstance(value, dict) else (value,)


def _digest(values: tuple[Any, ...]) -> str:
    digest = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


# ---- the file


def _write(path: str, loop: LoopState) -> None:
    """Write all of ``loop``; the file is complete or is not replaced."""
    assert loop.random_state is not None
    arrays: dict[str, Any] = {
        field.name: np.asarray(getattr(loop, field.name))
        for field in fields(LoopState)
        if field.name not in _APART and getattr(loop, field.name) is not None
    }
    for field in fields(TrainState):
        arrays[f"state.{field.name}"] = np.asarray(getattr(loop.state, field.name))
    about = {
        "format": FORMAT,
        "n_iter": loop.n_iter,
        "origin": loop.origin,
        "random_state": loop.random_state.get_state(legacy=False),
    }
    text = json.dumps(about, default=lambda array: array.tolist())
    arrays["about"] = np.frombuffer(text.encode(), np.uint8)
    partial = f"{path}.part"
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def _read(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_write` wrote; CheckpointError if it is damaged or something else."""
    with open(path, "rb") as file:
        beginning = file.read(2)
    foreign = CheckpointError(
        f"{path} is not a checkpoint of fastnn, and is left as it is. Give Checkpoint another path."
    )
    if beginning != b"PK"[: len(beginning)]:
        raise foreign
    try:
        with open_archive(path) as archive:
            names = {name: name.removesuffix(".npy") for name in archive.namelist()}
            known = "about.npy" in names
            arrays = {own: read_array(archive, name) for name, own in names.items() if known}
    except Exception as error:  # zipfile's, zlib's, and those of Python's parser in NumPy's
        raise _damaged(path, error) from error
    try:
        about = json.loads(arrays.pop("about").tobytes())
        known, later = about["format"] == FORMAT, is_later(about["format"], FORMAT)
    except (KeyError, TypeError, ValueError, RecursionError):
        known = later = False
    if later:
        raise CheckpointError(
            f"{path} was written by a later version of fastnn ({about['format']!r}). Go on with"
            " that version, or delete the file to start anew."
        )
    if not known:
        raise foreign
    return about, arrays


def _damaged(path: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged: it was cut off or changed after it was written"
        f" ({' '.join(str(error).split())[:200]}). Delete it to start anew."
    )


def _check_fits(loop: LoopState, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Raise, if something of a file is not of the kind and shape that ``loop`` would have there."""
    np.random.RandomState(0).set_state(about["random_state"])
    expected = {f"state.{one.name}": getattr(loop.state, one.name) for one in fields(TrainState)}
    for one in fields(LoopState):
        if one.name not in _APART:
            expected[one.name] = getattr(loop, one.name)
    if missing := {name for name in expected if name not in arrays} - {"best_params"}:
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    for name, array in arrays.items():
        own = loop.params if name == "best_params" else np.asarray(expected[name])
        shape = (array.size,) if isinstance(expected[name], list) else own.shape
        kinds: tuple[Any, Any] = own.dtype, array.dtype
        if isinstance(expected[name], list | str):  # of any length
            kinds = own.dtype.kind, array.dtype.kind
        if array.shape != shape or kinds[0] != kinds[1]:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    then, now = (np.sort(np.append(one["rows"], one["held_out"])) for one in (arrays, expected))
    if not np.array_equal(then, now):
        raise ValueError("rows are not those of the data")


def _restore(loop: LoopState, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Put into ``loop`` what `_write` took from it. Its parameters are changed in place."""
    assert loop.random_state is not None
    loop.random_state.set_state(about["random_state"])
    for name, array in arrays.items():
        owner, name = (loop.state, name[6:]) if name.startswith("state.") else (loop, name)
        now = getattr(owner, name)
        if owner is loop.state and isinstance(now, np.ndarray):
            now[...] = array
        elif isinstance(now, list):
            setattr(owner, name, list(array))
        else:
            setattr(owner, name, array if array.ndim else array.item())
    loop.stopped = loop.converged
