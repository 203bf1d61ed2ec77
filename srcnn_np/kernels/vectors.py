"""The processor's vector registers, as values in functions compiled by Numba.

A processor multiplies and adds 4, 8 or 16 float32 numbers at once, if they lie side by side
in one of its vector registers. Compilers find such chances in plain loops. But the speed of a
matrix product depends on which sums stay in registers from one turn of a loop to the next, and
compilers seldom choose well. Here the choice is written down:

- a *vector* is LANES numbers in one register. `load(array, at)` reads them from a
  C-contiguous array, beginning `at` elements after its first; `store` writes them;
- a *line* is a tuple of vectors. `load_line` and `store_line` read and write it; a function made
  by `transformation` multiplies it by a small constant matrix;
- a *block* is a tuple of lines, all of one length. `add_outer_product` adds to it, the step of a
  matrix product: eight numbers times two vectors are 16 vectors of sums, all kept in registers.

Each function becomes one or a few machine instructions for each vector. Products are added
by fused multiply-adds, written as such, so that no "fastmath" is needed and a NaN or an
infinity goes where arithmetic sends it.

Nothing here checks bounds, unless the environment variable SRCNN_NP_CHECK_BOUNDS is 1: then
a read or write outside an array raises an IndexError. A test sets it.
"""

import platform
from collections.abc import Callable
from fractions import Fraction

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.errors import NumbaTypeError
from numba.extending import intrinsic

from ..compiling import SWITCHES


def _features() -> set[str]:
    """Return the features, in LLVM's words, of the processor that Numba compiles for."""
    if config.CPU_FEATURES is not None:
        return {f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+")}
    return {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}


_FEATURES = _features()
_ARM = platform.machine().lower() in ("aarch64", "arm64")
# Without the instruction, a fused multiply-add calls a slow function.
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
def load_line(typing, array, at, step, count):
    """Read `count` vectors, at elements at, at + step, ...

    `count` is a constant, or a tuple of that length.
    """
    line = _line(count)

    def generate(context, builder, sig, args):
        at, step = (_index(context, builder, sig, args, n) for n in (1, 2))
        vectors = []
        for _ in range(line.count):
            vectors.append(_load(context, builder, sig.args[0], args[0], at))
            at = builder.add(at, step)
        return context.make_tuple(builder, line, vectors)

    return line(array, at, step, count), generate


@intrinsic
def store_line(typing, array, at, step, line):
    """Write the vectors at elements at, at + step, ..."""

    def generate(context, builder, sig, args):
        at, step = (_index(context, builder, sig, args, n) for n in (1, 2))
        for vector in cgutils.unpack_tuple(builder, args[3]):
            _store(context, builder, sig.args[0], args[0], at, vector)
            at = builder.add(at, step)
        return context.get_dummy_value()

    return types.void(array, at, step, line), generate


@intrinsic
def add_block(typing, block, array, at, row):
    """Return the block plus the array's block, if any, with lines `row` elements apart."""
    if array is types.none:
        return block(block, array, at, row), lambda context, builder, sig, args: args[0]

    def generate(context, builder, sig, args):
        at, row = (_index(context, builder, sig, args, n) for n in (2, 3))
        new = []
        for line in _lines(builder, args[0]):
            places = _side_by_side(context, builder, at, len(line))
            old = [_load(context, builder, sig.args[1], args[1], place) for place in places]
            new.append([builder.fadd(a, b) for a, b in zip(old, line, strict=True)])
            at = builder.add(at, row)
        return _make_block(context, builder, block, new)

    return block(block, array, at, row), generate


@intrinsic
def store_block(typing, array, at, row, block):
    """Write a block, its lines `row` elements apart."""
    return types.void(array, at, row, block), _block_writer(past_cache=False)


@intrinsic
def stream_block(typing, array, at, row, block):
    """Do what `store_block` does, but past the caches: they need not read what is overwritten.

    All vectors must begin at multiples of their size in memory.
    """
    return types.void(array, at, row, block), _block_writer(past_cache=True)


def _block_writer(past_cache):
    def generate(context, builder, sig, args):
        at, row = (_index(context, builder, sig, args, n) for n in (1, 2))
        for line in _lines(builder, args[3]):
            places = _side_by_side(context, builder, at, len(line))
            for place, vector in zip(places, line, strict=True):
                stored = _store(context, builder, sig.args[0], args[0], place, vector)
                if past_cache:
                    stored.align = 4 * LANES
                    one = builder.module.add_metadata([_int32(1)])
                    stored.set_metadata("nontemporal", one)
            at = builder.add(at, row)
        return context.get_dummy_value()

    return generate


@intrinsic
def store_totals(typing, array, at, constant, line):
    """For each of 2, 4 or 8 vectors, write constant + the sum of its lanes, from `at` on."""

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 1)
        constant = context.cast(builder, args[2], sig.args[2], types.float32)
        totals = _totals(builder, cgutils.unpack_tuple(builder, args[3]))
        totals = builder.fadd(totals, _splat(builder, constant, line.count))
        _store(context, builder, sig.args[0], args[0], at, totals)
        return context.get_dummy_value()

    return types.void(array, at, constant, line), generate


# --- arithmetic on lines and blocks --------------------------------------------------------


@intrinsic(prefer_literal=True)
def zeros(typing, count):
    """Return a line of `count` vectors of zeros.

    `count` is a constant, or a tuple of that length.
    """
    line = _line(count)

    def generate(context, builder, sig, args):
        return ir.Constant(context.get_value_type(line), None)

    return line(count), generate


@intrinsic(prefer_literal=True)
def stacked(typing, line, count):
    """Return a block that has the same line `count` times; `count` is a constant."""
    block = types.UniTuple(line, count.literal_value)

    def generate(context, builder, sig, args):
        return context.make_tuple(builder, block, [args[0]] * block.count)

    return block(line, count), generate


@intrinsic
def add_outer_product(typing, sums, x, at, row, v, v_at):
    """Return sums[r][s] + x[at + r·row] · v[v_at + s·LANES ...], for each line r and vector s."""

    def generate(context, builder, sig, args):
        at, row, v_at = (_index(context, builder, sig, args, n) for n in (2, 3, 5))
        places = _side_by_side(context, builder, v_at, sums.dtype.count)
        line = [_load(context, builder, sig.args[4], args[4], place) for place in places]
        new = []
        for totals in _lines(builder, args[0]):
            number = _in_all_lanes(context, builder, sig.args[1], args[1], at)
            pairs = zip(line, totals, strict=True)
            new.append([_fma(builder, number, vector, total) for vector, total in pairs])
            at = builder.add(at, row)
        return _make_block(context, builder, sums, new)

    return sums(sums, x, at, row, v, v_at), generate


@intrinsic
def add_scaled(typing, sums, line, vector):
    """Return sums[i] + line[i] · vector."""

    def generate(context, builder, sig, args):
        old, line_ = (cgutils.unpack_tuple(builder, args[n]) for n in (0, 1))
        new = [_fma(builder, a, args[2], total) for a, total in zip(line_, old, strict=True)]
        return context.make_tuple(builder, sums, new)

    return sums(sums, line, vector), generate


@intrinsic
def add_windows(typing, sums, line, weights):
    """Return sums[i] + line[i] · weights[0] + line[i + 1] · weights[1] + ..."""

    def generate(context, builder, sig, args):
        new, line_, weights_ = (cgutils.unpack_tuple(builder, arg) for arg in args)
        for v, weight in enumerate(weights_):
            new = [_fma(builder, line_[i + v], weight, total) for i, total in enumerate(new)]
        return context.make_tuple(builder, sums, new)

    return sums(sums, line, weights), generate


@intrinsic
def added(typing, left, right):
    """Return left[i] + right[i]."""

    def generate(context, builder, sig, args):
        pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args), strict=True)
        return context.make_tuple(builder, left, [builder.fadd(a, b) for a, b in pairs])

    return left(left, right), generate


@intrinsic
def bent(typing, line, slopes):
    """Return line[i] where it is above 0, else slopes · line[i]: leaky or ReLU of finite values."""

    def generate(context, builder, sig, args):
        new = [_bent(builder, v, args[1]) for v in cgutils.unpack_tuple(builder, args[0])]
        return context.make_tuple(builder, line, new)

    return line(line, slopes), generate


@intrinsic(prefer_literal=True)
def beginning(typing, line, count, array, at):
    """Return a block of `count` lines; all of the n-th is the number at element at + n."""
    block = types.UniTuple(line, count.literal_value)

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 3)
        lines = []
        for n in range(block.count):
            place = builder.add(at, at.type(n))
            number = _in_all_lanes(context, builder, sig.args[2], args[2], place)
            lines.append([number] * line.count)
        return _make_block(context, builder, block, lines)

    return block(line, count, array, at), generate


@intrinsic
def bend_block(typing, block, array, at):
    """Return the block, its n-th line `bent` by the slope at element at + n of the array."""

    def generate(context, builder, sig, args):
        at = _index(context, builder, sig, args, 2)
        new = []
        for n, line in enumerate(_lines(builder, args[0])):
            place = builder.add(at, at.type(n))
            slope = _in_all_lanes(context, builder, sig.args[1], args[1], place)
            new.append([_bent(builder, vector, slope) for vector in line])
        return _make_block(context, builder, block, new)

    return block(block, array, at), generate


@intrinsic
def add_spoilt(typing, vector, line):
    """Return the vector plus 0 for each finite number of the line, and NaN for any other."""

    def generate(context, builder, sig, args):
        total, zero = args[0], ir.Constant(args[0].type, None)
        for numbers in cgutils.unpack_tuple(builder, args[1]):
            total = _fma(builder, numbers, zero, total)
        return total

    return vector(vector, line), generate


Matrix = list[list[Fraction]]


def transformation(matrix_for: Callable[[int], Matrix]) -> Callable:
    """Make a function that multiplies a line by a constant matrix in kernels, without loops.

    Parameters
    ----------
    matrix_for : function
        Takes the length of a tuple, and returns the matrix.

    Returns
    -------
    function
        Takes a line and a tuple, and returns a line of as many vectors as the matrix has rows.
    """

    @intrinsic
    def transform(typing, line, which):
        matrix = matrix_for(len(which))
        result = types.UniTuple(VECTOR, len(matrix))

        def generate(context, builder, sig, args):
            vectors = cgutils.unpack_tuple(builder, args[0])
            return context.make_tuple(builder, result, _product(builder, matrix, vectors))

        return result(line, which), generate

    return transform


# --- the parts of these, in the words of LLVM ----------------------------------------------


def _product(builder, matrix, vectors):
    """Multiply a matrix by vectors; rows or columns that differ only in signs share work.

    Two such rows are the sum and the difference of two halves. For two such columns, the sum and
    the difference of their vectors are taken first.
    """
    rows = _alike(matrix)
    if not rows:
        columns = _alike([list(column) for column in zip(*matrix, strict=True)])
        vectors, matrix = list(vectors), [list(row) for row in matrix]
        for j, k in columns.items():
            a, b = vectors[j], vectors[k]
            vectors[j], vectors[k] = builder.fadd(a, b), builder.fsub(a, b)
            for row in matrix:
                # m a ± m b is m times the sum or the difference
                row[j], row[k] = (row[j], Fraction(0)) if row[j] == row[k] else (0, row[j])
    results = [None] * len(matrix)
    for i, row in enumerate(matrix):
        if i in rows:
            other = matrix[rows[i]]
            same = [a if a == b else 0 for a, b in zip(row, other, strict=True)]
            rest = [a if a != b else 0 for a, b in zip(row, other, strict=True)]
            halves = _dot(builder, same, vectors), _dot(builder, rest, vectors)
            results[i], results[rows[i]] = builder.fadd(*halves), builder.fsub(*halves)
        elif results[i] is None:
            results[i] = _dot(builder, row, vectors)
    return results


def _alike(rows):
    """Return, for each row, a later row that differs from it only in some signs."""
    return {
        i: k
        for k, other in enumerate(rows)
        for i, row in enumerate(rows[:k])
        if row != other and all(abs(a) == abs(b) for a, b in zip(row, other, strict=True))
    }


def _dot(builder, numbers, vectors):
    terms = [(n, v) for n, v in zip(numbers, vectors, strict=True) if n]
    terms.sort(key=lambda term: term[0] != 1)  # begin with a term that needs no multiplication
    total = None
    for number, vector in terms:
        factor = ir.Constant(vector.type, [float(number)] * LANES)
        if total is None:
            total = vector if number == 1 else builder.fmul(factor, vector)
        elif abs(number) == 1:
            total = (builder.fadd if number == 1 else builder.fsub)(total, vector)
        else:
            total = _fma(builder, factor, vector, total)
    return total


def _line(count):
    return types.UniTuple(
        VECTOR, len(count) if isinstance(count, types.BaseTuple) else count.literal_value
    )


def _llvm_vector(kind, count):
    return ir.VectorType(kind, count)


def _lines(builder, block):
    return [cgutils.unpack_tuple(builder, line) for line in cgutils.unpack_tuple(builder, block)]


def _make_block(context, builder, kind, lines):
    lines = [context.make_tuple(builder, kind.dtype, line) for line in lines]
    return context.make_tuple(builder, kind, lines)


def _side_by_side(context, builder, at, count):
    """Return where `count` neighbouring vectors begin."""
    steps = (context.get_constant(types.intp, n * LANES) for n in range(count))
    return [builder.add(at, step) for step in steps]


def _index(context, builder, sig, args, n):
    return context.cast(builder, args[n], sig.args[n], types.intp)


def _pointer(context, builder, array_type, array, at, count=1):
    """Return the address of element `at`, where `count` elements are read or written."""
    if array_type.layout != "C" or array_type.dtype != types.float32:
        raise NumbaTypeError("vectors lie in C-contiguous arrays of float32 only")
    struct = context.make_array(array_type)(context, builder, array)
    if _CHECK:
        end = builder.add(at, at.type(count))
        outside = builder.or_(
            builder.icmp_signed("<", at, at.type(0)),
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


def _in_all_lanes(context, builder, array_type, array, at):
    """Return a vector with the number at element `at` in each lane."""
    pointer = _pointer(context, builder, array_type, array, at)
    return _splat(builder, builder.load(pointer), LANES)


def _store(context, builder, array_type, array, at, vector):
    pointer = _pointer(context, builder, array_type, array, at, vector.type.count)
    stored = builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer()))
    stored.align = 4
    return stored


def _splat(builder, number, count):
    """Return a vector with the number in each of `count` lanes."""
    one = builder.insert_element(
        ir.Constant(_llvm_vector(number.type, count), ir.Undefined), number, _int32(0)
    )
    return builder.shuffle_vector(one, one, _lane_numbers([0] * count))


def _fma(builder, a, b, c):
    """Return a · b + c, rounded once."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fma.v{a.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def _bent(builder, vector, slopes):
    zero = ir.Constant(vector.type, None)
    above = builder.fcmp_ordered(">", vector, zero)
    parts = builder.select(above, vector, zero), builder.select(above, zero, vector)
    return _fma(builder, slopes, parts[1], parts[0])


def _totals(builder, vectors):
    """Return one vector with the sum of each vector's lanes.

    Two vectors are folded into one, which adds the lower and the upper half of each.
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
