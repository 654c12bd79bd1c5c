"""Makes machine code of the rules of trips: ``python -m auto_insurance.trips.compiler FILE``, a process of its own.

Numba takes 66 MB and more while it compiles; whoever runs the rules needs none of it. What is left is an object file
with two functions of C, and beside it the names that the loader has to know.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba as untyped_numba
import numpy as np
from numba.core import types as untyped_types

from auto_insurance.trips import aggregate, calendar, detect, segment, track
from auto_insurance.trips.calendar import Clock
from auto_insurance.trips.compiled import RULES
from auto_insurance.trips.detect import Out
from auto_insurance.trips.native import Contents, packed
from auto_insurance.trips.segment import Batch, Tables
from auto_insurance.trips.state import CLOSING, DEVICE, EVENT, LIMITS, NOW, TRIP

numba: Any = untyped_numba
types: Any = untyped_types
carray = numba.carray
OPTIONS = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
I8, I16, I32, I64, F32, F64, YES = np.int8, np.int16, np.int32, np.int64, np.float32, np.float64, np.bool_


def compile_rules() -> bytes:
    """Return machine code for this processor in the form that ``native.load`` reads."""
    quick: dict[Any, Any] = {rule: numba.njit(**OPTIONS)(rule) for rule in RULES}
    for module in (calendar, track, detect, aggregate, segment):
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__module__", "").startswith(__package__ or "") and value in quick:
                setattr(module, name, quick[value])
    form = types.int64(types.CPointer(types.voidptr), types.CPointer(types.int64))
    fold, view = (numba.cfunc(form, error_model="numpy")(call) for call in _calls(segment.fold, segment.view))
    whole = llvm.parse_assembly(fold.inspect_llvm())
    whole.link_in(llvm.parse_assembly(view.inspect_llvm()))
    wanted = [f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")]
    wanted += [g.name for g in whole.global_variables if g.is_declaration]
    return packed(Contents(fold.native_name, view.native_name, wanted, _machine().emit_object(whole)))


def _calls(fold: Any, view: Any) -> tuple[Any, Any]:
    """Return the entries as C calls them: addresses of the arrays and their lengths, in the order of ``native``."""
    device, trip, now, limits, event, closing = DEVICE, TRIP, NOW, LIMITS, EVENT, CLOSING

    def call_fold(a, n):  # type: ignore[no-untyped-def]
        tables = Tables(
            carray(a[0], n[0], device), carray(a[1], n[1], trip), carray(a[2], n[2], device),
            carray(a[3], n[3], trip), carray(a[4], n[4], now), carray(a[5], n[5], limits),
        )  # fmt: skip
        out = Out(
            carray(a[6], n[6], event), carray(a[7], n[7], closing), carray(a[8], n[8], trip),
            carray(a[9], n[9], YES), carray(a[10], n[10], I64),
        )  # fmt: skip
        clock = Clock(carray(a[11], n[11], I64), carray(a[12], n[12], I64), carray(a[13], n[13], I64))
        batch = Batch(
            carray(a[14], n[14], I64), carray(a[15], n[15], I64), carray(a[16], n[16], I64), carray(a[17], n[17], I64),
            carray(a[18], n[18], I32), carray(a[19], n[19], I64), carray(a[20], n[20], I64), carray(a[21], n[21], I64),
            carray(a[22], n[22], I64), carray(a[23], n[23], F64), carray(a[24], n[24], F64), carray(a[25], n[25], F32),
            carray(a[26], n[26], F32), carray(a[27], n[27], F32), carray(a[28], n[28], F32), carray(a[29], n[29], F32),
            carray(a[30], n[30], F32), carray(a[31], n[31], I8), carray(a[32], n[32], I8), carray(a[33], n[33], I16),
        )  # fmt: skip
        return fold(tables, batch, clock, out)

    def call_view(a, n):  # type: ignore[no-untyped-def]
        tables = Tables(
            carray(a[0], n[0], device), carray(a[1], n[1], trip), carray(a[2], n[2], device),
            carray(a[3], n[3], trip), carray(a[4], n[4], now), carray(a[5], n[5], limits),
        )  # fmt: skip
        out = Out(
            carray(a[6], n[6], event), carray(a[7], n[7], closing), carray(a[8], n[8], trip),
            carray(a[9], n[9], YES), carray(a[10], n[10], I64),
        )  # fmt: skip
        view(tables, carray(a[11], n[11], I64), out, n[12])
        return 0

    return call_fold, call_view


def _machine() -> Any:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


def main(target: Path) -> None:
    """Write the file whole or not at all."""
    half = target.with_name(f"{target.name}.{os.getpid()}")
    half.write_bytes(compile_rules())
    half.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
