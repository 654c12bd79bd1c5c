"""Runs the rules of trips as machine code that ``compiler`` made, without the compiler: LLVM only links it."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from auto_insurance.trips.state import CLOSING, DEVICE, EVENT, LIMITS, NOW, TRIP

_TABLES = (DEVICE, TRIP, DEVICE, TRIP, NOW, LIMITS)
_OUT = (EVENT, CLOSING, TRIP, np.dtype(np.bool_), np.dtype(np.int64))
_CLOCK = (np.dtype(np.int64),) * 3
_BATCH = (
    *(np.dtype(np.int64),) * 4, np.dtype(np.int32), *(np.dtype(np.int64),) * 4, *(np.dtype(np.float64),) * 2,
    *(np.dtype(np.float32),) * 6, np.dtype(np.int8), np.dtype(np.int8), np.dtype(np.int16),
)  # fmt: skip
FOLD_FORM = (*_TABLES, *_OUT, *_CLOCK, *_BATCH)
VIEW_FORM = (*_TABLES, *_OUT, np.dtype(np.int64))
"""The arrays that the two functions take, in this order."""
_NEVER = ("Py", "numba_", "NRT_")
"""Begin the names of what only an exception would call; the rules raise none."""


class Contents(NamedTuple):
    """A file of machine code: an object file, the symbols of its two functions, and the symbols that it wants."""

    fold: str
    view: str
    wanted: list[str]
    code: bytes


class CodeError(RuntimeError):
    """The machine code can't be loaded here."""


def packed(contents: Contents) -> bytes:
    """Return the bytes of a file."""
    return msgspec.msgpack.encode(contents)


class Native:
    """The two functions of the rules. Calls release the interpreter's lock."""

    def __init__(self, engine: Any, contents: Contents) -> None:
        self._engine = engine  # holds the code
        form = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        self._fold = form(engine.get_function_address(contents.fold))
        self._view = form(engine.get_function_address(contents.view))

    def fold(self, tables: Any, batch: Any, clock: Any, out: Any) -> int:
        """See ``segment.fold``."""
        arrays = (*tables, *out, *clock, *batch)
        return int(self._fold(*_arguments(arrays, FOLD_FORM)))

    def view(self, tables: Any, slots: NDArray[np.int64], out: Any, reason: int) -> None:
        """See ``segment.view``."""
        self._view(*_arguments((*tables, *out, slots), VIEW_FORM, reason))


def version() -> str:
    """Return what machine code depends on beside the rules: the compiler, and this processor."""
    import llvmlite.binding as llvm  # noqa: PLC0415 - see load

    compilers = [metadata.version(name) for name in ("numba", "llvmlite")]
    return " ".join([*compilers, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()])


def load(data: bytes) -> Native:
    """Link machine code into this process. Raises ``CodeError`` for what is none, or was made for something else."""
    import llvmlite.binding as llvm  # noqa: PLC0415 - 60 MB of shared library, and only workers need it

    try:
        contents = msgspec.msgpack.decode(data, type=Contents)
    except msgspec.DecodeError as error:
        raise CodeError(f"no machine code of the rules: {error}") from None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name in contents.wanted:
        if not llvm.address_of_symbol(name):
            llvm.add_symbol(name, _address("abort" if name.startswith(_NEVER) else name))
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    try:
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(contents.code))
        engine.finalize_object()
    except RuntimeError as error:
        raise CodeError(f"the machine code of the rules can't be linked: {error}") from None
    _give_back("llvmlite")
    return Native(engine, contents)


def _give_back(library: str) -> None:
    """Let the system have the pages of a library's code that will hardly run again; 31 MB of LLVM's linker.

    They are read from the file again if it does. What the library wrote, its relocated tables among it, stays.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc = ctypes.CDLL(None)
    for line in maps.read_text().splitlines():
        where, rights, *_ = line.split(maxsplit=2)
        if library in line and rights == "r-xp":
            low, high = (int(end, 16) for end in where.split("-"))
            libc.madvise(ctypes.c_void_p(low), ctypes.c_size_t(high - low), mmap.MADV_DONTNEED)


def _arguments(arrays: Sequence[NDArray[Any]], form: Sequence[np.dtype[Any]], *more: int) -> tuple[Any, Any]:
    """Return addresses and lengths as C takes them. Raises ``TypeError``: code of C does not look at what it gets."""
    for array, dtype in zip(arrays, form, strict=True):
        if array.dtype != dtype or not array.flags.c_contiguous:
            raise TypeError(f"rules take contiguous {dtype}, not {array.dtype}")
    addresses = (ctypes.c_void_p * len(arrays))(*[array.__array_interface__["data"][0] for array in arrays])
    return addresses, (ctypes.c_int64 * (len(arrays) + len(more)))(*map(len, arrays), *more)


def _address(name: str) -> int:
    """Return where a function of C is. Raises ``CodeError``."""
    for library in _libraries():
        with suppress(AttributeError):
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    raise CodeError(f"the machine code of the rules wants {name}, which is not here")


@cache
def _libraries() -> list[ctypes.CDLL]:
    """Return what this process has loaded, and C's mathematics if it keeps them apart."""
    found = [ctypes.CDLL(None)]
    with suppress(OSError):
        found.append(ctypes.CDLL("libm.so.6"))
    return found
