"""The vectorised functions of compiled cells, lane by lane, against exact values.

Errors are in ulp, units in the last place of the exact result.
"""

import ctypes
from importlib.resources import files

import numpy as np
import pytest

from cellwright.errors import ToolchainError
from cellwright.toolchain import compiler, load

FUNCTIONS = {
    "exponential": np.exp,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
    "hyperbolic_tangent": np.tanh,
}
SINGLE = {  # of one argument, exact but for one rounding
    "absolute": np.abs,
    "sign_of": lambda a: np.where(np.isnan(a), 0, np.sign(a)),
    "rectified": lambda a: np.where(a <= 0, 0, a),
    "floor_of": np.floor,
    "square_root": np.sqrt,
}
ULP = 3.0  # 2.6 was measured
ENDS = {  # where results leave the normal numbers: overflow, underflow
    np.float32: {"exponential": (88.7228, -87.3365), "logistic": (100.0, -87.0)},
    np.float64: {"exponential": (709.7827, -708.3964), "logistic": (800.0, -708.0)},
}
# Products and sums as in kernels; each function reads and writes `count` whole vectors.
BODY = """
extern "C" __attribute__((visibility("default")))
void run_{name}(const Real* from, Real* to, Int count) {{
  for (Int n = 0; n < count; n += LANES)
    *(Anywhere*)(to + n) = {name}(*(const Anywhere*)(from + n));
}}
"""
BOTH = """
extern "C" __attribute__((visibility("default")))
void run_{name}(const Real* a, const Real* b, Real* to, Int count) {{
  for (Int n = 0; n < count; n += LANES)
    *(Anywhere*)(to + n) = {name}(*(const Anywhere*)(a + n), *(const Anywhere*)(b + n));
}}
"""


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float", "double"])
def call(request):
    """Calls one function on numpy arrays."""
    try:
        compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    dtype = request.param
    native = files("cellwright.backends.cpu") / "native" / "vectors.hpp"
    source = [f"#define REAL_IS_DOUBLE {int(dtype is np.float64)}", native.read_text("utf-8")]
    source += [BODY.format(name=name) for name in (*FUNCTIONS, *SINGLE)]
    source += [BOTH.format(name=name) for name in ("greater_of", "smaller_of")]
    library = load("\n".join(source), name="vectors")

    def run(name, *values):
        filled = [np.zeros(-(-v.size // 16) * 16, dtype) for v in values]
        for array, value in zip(filled, values, strict=True):
            array[: value.size] = value
        result = np.empty_like(filled[0])
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*filled, result)]
        getattr(library, f"run_{name}")(*pointers, ctypes.c_int64(result.size))
        return result[: values[0].size]

    run.dtype = dtype
    return run


def errors_in_ulp(found, exact):
    """How far results are off, in units in the last place."""
    unit = np.spacing(np.abs(exact).astype(found.dtype)).astype(np.longdouble)
    return np.abs(found.astype(np.longdouble) - exact) / unit


def grid(dtype, low, high):
    """Numbers close together, and of every magnitude."""
    even = np.linspace(low, high, 400_000)
    small = np.geomspace(np.finfo(dtype).tiny, min(-low, high), 200_000)
    return np.concatenate([even, small, -small, [0.0]]).astype(dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_right_to_three_units_in_the_last_place(call, name):
    wider = np.longdouble
    if np.finfo(wider).eps > 1e-18 and call.dtype is np.float64:
        pytest.skip("there is no wider type here to compare with")
    high, low = ENDS[call.dtype].get(name, (30.0, -30.0))
    given = grid(call.dtype, low, high)
    errors = errors_in_ulp(call(name, given), FUNCTIONS[name](given.astype(wider)))
    worst = int(errors.argmax())
    assert errors[worst] <= ULP, (name, given[worst], errors[worst])


def test_results_that_are_denormal_or_too_large(call):
    high, low = ENDS[call.dtype]["exponential"]
    tiny, least = np.finfo(call.dtype).tiny, np.finfo(call.dtype).smallest_subnormal
    given = np.linspace(low - 20, low, 10_000).astype(call.dtype)
    # A second rounding, where 2^n is applied in two factors.
    error = np.abs(call("exponential", given) - np.exp(given.astype(np.longdouble)))
    assert bool((error <= 1.5 * least).all())
    assert bool(np.isinf(call("exponential", np.array([high + 0.001, 1e30, np.inf]))).all())
    assert bool((call("exponential", np.array([low - 40, -1e30, -np.inf])) == 0).all())
    below = call("logistic", np.linspace(low - 30, low - 0.1, 10_000).astype(call.dtype))
    assert bool((below <= 2 * tiny).all())
    assert call("logistic", np.array([-1e30, -np.inf])).tolist() == [0, 0]
    assert call("logistic", np.array([1e30, np.inf, 60])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", [*FUNCTIONS, *SINGLE])
def test_nan_infinity_and_signed_zero(call, name):
    meaning = (FUNCTIONS | SINGLE)[name]
    given = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0], call.dtype)
    with np.errstate(all="ignore"):
        wanted = meaning(given)
    found = call(name, given)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    if name in ("hyperbolic_tangent", "floor_of", "square_root", "absolute"):
        assert np.signbit(found[3:5]).tolist() == np.signbit(wanted[3:5]).tolist()


def test_the_smallest_numbers_pass_through_tanh(call):
    least = np.finfo(call.dtype).smallest_subnormal
    given = np.array([least, -least, 3 * least, np.finfo(call.dtype).tiny], call.dtype)
    np.testing.assert_array_equal(call("hyperbolic_tangent", given), given)


@pytest.mark.parametrize(
    ("name", "meaning"), [("greater_of", np.maximum), ("smaller_of", np.minimum)]
)
def test_nan_wins_against_any_number(call, name, meaning):
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0, -2.0], call.dtype)
    one, other = (v.ravel() for v in np.meshgrid(values, values))
    np.testing.assert_array_equal(call(name, one, other), meaning(one, other))
