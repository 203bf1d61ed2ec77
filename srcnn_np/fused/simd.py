"""The processor's vector registers, as values in functions compiled by Numba.

A processor multiplies and adds 4, 8 or 16 float32 numbers at once, if they lie side by side
in one of its vector registers. Compilers find such chances in plain loops, but which sums
stay in registers from one turn of a loop to the next decides the speed of a matrix product,
and that they seldom find. Here it is written down:

- a *vector* is LANES numbers in one register. `load(array, at)` reads them from a
  C-contiguous array, beginning `at` elements after its first; `store` writes them. Vectors
  are added, subtracted, and multiplied by numbers with the usual signs;
- a *block* is a tuple of vectors. Its heart is `add_strided_products`, the step of a matrix
  product: two vectors times eight numbers are 16 vectors of sums, all kept in registers.

Each function becomes one or a few machine instructions for each vector. Products are added
by fused multiply-adds, written as such, so that no "fastmath" is needed and a NaN or an
infinity goes where arithmetic sends it.

Nothing here checks bounds, unless the environment variable SRCNN_NP_CHECK_BOUNDS is 1: then
a read or write outside an array raises an IndexError. A test does that.
"""

import operator
import platform

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.errors import NumbaTypeError
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin

from ..compiling import SWITCHES


def _features() -> set[str]:
    """What the processor that Numba compiles for can do, in LLVM's words."""
    if config.CPU_FEATURES is not None:
        return {f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+")}
    return {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}


_FEATURES = _features()
_ARM = platform.machine().lower() in ("aarch64", "arm64")
# Without the instruction, a fused multiply-add is a call of a slow function.
FUSED = _ARM or "fma" in _FEATURES
_REGISTER_BYTES = 64 if "avx512f" in _FEATURES else 32 if "avx" in _FEATURES else 16
REGISTERS = 32 if _ARM or "avx512f" in _FEATURES else 16  # how many there are
LANES = _REGISTER_BYTES // 4  # float32 numbers in one
_CHECK = SWITCHES["SRCNN_NP_CHECK_BOUNDS"] == "1"


class Vector(types.Type):
    """The type of LANES float32 numbers in one register."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, _llvm_vector(ir.FloatType(), LANES))


VECTOR = Vector()


# --- arithmetic on vectors: a + b, a - b, number * a ---------------------------------------


def _operator(symbol, method):
    @infer_global(symbol)
    class _VectorWithVector(AbstractTemplate):
        def generic(self, args, kws):
            return signature(VECTOR, VECTOR, VECTOR) if args == (VECTOR, VECTOR) else None

    @lower_builtin(symbol, Vector, Vector)
    def generate(context, builder, sig, args):
        return getattr(builder, method)(*args, flags=("contract",))


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")


@infer_global(operator.mul)
class _NumberTimesVector(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 2 and isinstance(args[0], types.Number) and args[1] == VECTOR:
            return signature(VECTOR, *args)
        return None


@lower_builtin(operator.mul, types.Number, Vector)
def _number_times_vector(context, builder, sig, args):
    number = context.cast(builder, args[0], sig.args[0], types.float32)
    return builder.fmul(_splat(builder, number, LANES), args[1], flags=("contract",))


# --- reading and writing -------------------------------------------------------------------


@intrinsic
def load(typing, array, at):
    """Read the vector that begins at element `at` of the array."""

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 1)
        return _load(context, builder, sig.args[0], args[0], at)

    return VECTOR(array, at), generate


@intrinsic
def store(typing, array, at, vector):
    """Write the vector to the array, from element `at` on."""

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 1)
        _store(context, builder, sig.args[0], args[0], at, args[2])
        return context.get_dummy_value()

    return types.void(array, at, vector), generate


@intrinsic(prefer_literal=True)
def load_block(typing, array, at, step, count):
    """Read `count` vectors, at elements at, at + step, ...

    `count` is a constant, or a block: as many vectors as that has.
    """
    block = count if isinstance(count, types.UniTuple) else _block(count.literal_value)

    def generate(context, builder, sig, args):
        at, step = (_index(context, builder, sig, args, n) for n in (1, 2))
        vectors = []
        for _ in range(block.count):
            vectors.append(_load(context, builder, sig.args[0], args[0], at))
            at = builder.add(at, step)
        return context.make_tuple(builder, block, vectors)

    return block(array, at, step, count), generate


@intrinsic
def load_like(typing, array, at, row_step, block):
    """Read as many vectors as the block has, two a row, rows `row_step` elements apart."""

    def generate(context, builder, sig, args):
        at, row_step = (_index(context, builder, sig, args, n) for n in (1, 2))
        vectors = []
        for _ in range(block.count // 2):
            for column in (0, LANES):
                place = builder.add(at, context.get_constant(types.intp, column))
                vectors.append(_load(context, builder, sig.args[0], args[0], place))
            at = builder.add(at, row_step)
        return context.make_tuple(builder, block, vectors)

    return block(array, at, row_step, block), generate


@intrinsic(prefer_literal=True)
def store_block(typing, array, at, row_step, step, columns, block):
    """Write vector (r, s) of the block at element at + r·row_step + s·step, `columns` a row."""

    def generate(context, builder, sig, args):
        row, row_step, step = (_index(context, builder, sig, args, n) for n in (1, 2, 3))
        place = row
        for n, vector in enumerate(cgutils.unpack_tuple(builder, args[5])):
            if n and n % columns.literal_value == 0:
                place = row = builder.add(row, row_step)
            _store(context, builder, sig.args[0], args[0], place, vector)
            place = builder.add(place, step)
        return context.get_dummy_value()

    return types.void(array, at, row_step, step, columns, block), generate


@intrinsic
def store_totals(typing, array, at, constant, block):
    """Write, from element `at` on, constant + the sum of its lanes for each of 2, 4, 8 vectors."""

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 1)
        constant = context.cast(builder, args[2], sig.args[2], types.float32)
        totals = _totals(builder, cgutils.unpack_tuple(builder, args[3]))
        totals = builder.fadd(totals, _splat(builder, constant, block.count))
        _store(context, builder, sig.args[0], args[0], at, totals)
        return context.get_dummy_value()

    return types.void(array, at, constant, block), generate


# --- arithmetic on blocks ------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def zeros(typing, count):
    """A block of `count` vectors of zeros; `count` is a constant."""
    block = _block(count.literal_value)

    def generate(context, builder, sig, args):
        zero = ir.Constant(context.get_value_type(VECTOR), None)
        return context.make_tuple(builder, block, [zero] * block.count)

    return block(count), generate


@intrinsic(prefer_literal=True)
def repeated(typing, block, count):
    """The block's vectors, `count` times over; `count` is a constant."""
    result = _block(block.count * count.literal_value)

    def generate(context, builder, sig, args):
        vectors = cgutils.unpack_tuple(builder, args[0])
        return context.make_tuple(builder, result, vectors * count.literal_value)

    return result(block, count), generate


@intrinsic
def add_strided_products(typing, sums, array, at, step, vectors):
    """sums[r, s] + array[at + r·step] · vectors[s], for each row r and vector s of the sums."""

    def generate(context, builder, sig, args):
        at, step = (_index(context, builder, sig, args, n) for n in (2, 3))
        old, vectors_ = (cgutils.unpack_tuple(builder, args[n]) for n in (0, 4))
        new = []
        for n, total in enumerate(old):
            if n % len(vectors_) == 0:
                number = _splat(
                    builder,
                    builder.load(_pointer(context, builder, sig.args[1], args[1], at, 1)),
                    LANES,
                )
                at = builder.add(at, step)
            new.append(_fma(builder, number, vectors_[n % len(vectors_)], total))
        return context.make_tuple(builder, sums, new)

    return sums(sums, array, at, step, vectors), generate


@intrinsic
def add_scaled(typing, sums, block, vector):
    """sums[i] + block[i] · vector."""

    def generate(context, builder, sig, args):
        old, block_ = (cgutils.unpack_tuple(builder, args[n]) for n in (0, 1))
        new = [_fma(builder, a, args[2], total) for a, total in zip(block_, old, strict=True)]
        return context.make_tuple(builder, sums, new)

    return sums(sums, block, vector), generate


@intrinsic
def add_windows(typing, sums, row, weights):
    """sums[i] + row[i] · weights[0] + row[i + 1] · weights[1] + ..."""

    def generate(context, builder, sig, args):
        new, row_, weights_ = (cgutils.unpack_tuple(builder, arg) for arg in args)
        for v, weight in enumerate(weights_):
            new = [_fma(builder, row_[i + v], weight, total) for i, total in enumerate(new)]
        return context.make_tuple(builder, sums, new)

    return sums(sums, row, weights), generate


@intrinsic
def added(typing, left, right):
    """left[i] + right[i]."""

    def generate(context, builder, sig, args):
        pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True)
        return context.make_tuple(builder, left, [builder.fadd(a, b) for a, b in pairs])

    return left(left, right), generate


@intrinsic
def relu_block(typing, block):
    """max(0, block[i]); a NaN stays one."""

    def generate(context, builder, sig, args):
        vectors = cgutils.unpack_tuple(builder, args[0])
        return context.make_tuple(builder, block, [_zero_below(builder, v, v) for v in vectors])

    return block(block), generate


@intrinsic
def where_positive(typing, gates, block):
    """block[i], but 0 in the lanes where gates[i] is 0 or less: the gradient of a ReLU."""

    def generate(context, builder, sig, args):
        pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True)
        return context.make_tuple(builder, block, [_zero_below(builder, g, v) for g, v in pairs])

    return block(gates, block), generate


# --- what these are made of, in the words of LLVM ------------------------------------------


def _llvm_vector(kind, count):
    return ir.VectorType(kind, count)


def _block(count):
    return types.UniTuple(VECTOR, count)


def _index(context, builder, sig, args, n):
    return context.cast(builder, args[n], sig.args[n], types.intp)


def _pointer(context, builder, array_type, array, at, count):
    """Address of element `at`, from which `count` elements are read or written."""
    if array_type.layout != "C" or array_type.dtype != types.float32:
        raise NumbaTypeError("vectors lie in C-contiguous arrays of float32 only")
    struct = context.make_array(array_type)(context, builder, array)
    if _CHECK:
        end = builder.add(at, context.get_constant(types.intp, count))
        outside = builder.or_(
            builder.icmp_signed("<", at, context.get_constant(types.intp, 0)),
            builder.icmp_signed(">", end, struct.nitems),
        )
        with builder.if_then(outside, likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("outside the array",))
    return builder.gep(struct.data, [at])


def _load(context, builder, array_type, array, at):
    kind = context.get_value_type(VECTOR)
    pointer = _pointer(context, builder, array_type, array, at, LANES)
    loaded = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    loaded.align = 4
    return loaded


def _store(context, builder, array_type, array, at, vector):
    pointer = _pointer(context, builder, array_type, array, at, vector.type.count)
    stored = builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer()))
    stored.align = 4


def _splat(builder, number, count):
    """The number in each of `count` lanes."""
    one = builder.insert_element(
        ir.Constant(_llvm_vector(number.type, count), ir.Undefined), number, _int32(0)
    )
    return builder.shuffle_vector(one, one, _lane_numbers([0] * count))


def _fma(builder, a, b, c):
    """a · b + c, rounded once."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fma.v{a.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def _zero_below(builder, gate, value):
    zero = ir.Constant(value.type, None)
    return builder.select(builder.fcmp_ordered("<=", gate, zero), zero, value)


def _totals(builder, vectors):
    """One vector of the sums of each vector's lanes.

    Two vectors are folded into one: the sums of the lower and the upper half of each.
    """

    def fold(a, b, size):
        starts = range(0, a.type.count if a is b else 2 * a.type.count, size)
        halves = [
            [start + half + lane for start in starts for lane in range(size // 2)]
            for half in (0, size // 2)
        ]
        return builder.fadd(*(builder.shuffle_vector(a, b, _lane_numbers(h)) for h in halves))

    def joined(a, b):
        return builder.shuffle_vector(a, b, _lane_numbers(list(range(2 * a.type.count))))

    size = LANES
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [fold(a, b, size) if size > 1 else joined(a, b) for a, b in pairs]
        size = max(1, size // 2)
    (vector,) = vectors
    while size > 1:
        vector = fold(vector, vector, size)
        size //= 2
    return vector


def _int32(number):
    return ir.Constant(ir.IntType(32), number)


def _lane_numbers(numbers):
    return ir.Constant(_llvm_vector(ir.IntType(32), len(numbers)), numbers)
