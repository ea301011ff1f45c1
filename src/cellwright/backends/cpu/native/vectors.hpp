// Vectors of the machine's width through the compiler's vector extensions: one source for
// AVX-512, AVX2, SSE and NEON. `Real` is float or double; the renderer defines REAL_IS_DOUBLE.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cmath>
#include <type_traits>

#if REAL_IS_DOUBLE
typedef double Real;
typedef int64_t Bits;
#define SUFFIX "d"
#else
typedef float Real;
typedef int32_t Bits;
#define SUFFIX "s"
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_ROWS 14  // 28 sums, two columns of weights and a broadcast: 31 of 32 registers
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_ROWS 6   // 12 sums, two columns of weights and a broadcast: 15 of 16 registers
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define TILE_ROWS 12
#else
#define VECTOR_BYTES 16
#define TILE_ROWS 6
#endif

typedef Real Vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef Real Anywhere __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(Real))));
typedef Bits Mask __attribute__((vector_size(VECTOR_BYTES), may_alias));

typedef int64_t Int;
static constexpr Int LANES = VECTOR_BYTES / sizeof(Real);
static constexpr Int PANEL = 2 * LANES;  // columns of weights that are multiplied together

// Products of bfloat16 pairs, summed in float, where the processor has them: a number of the
// narrow rows and panels below then is a pair, the even one in its low half.
#if NARROW_PRODUCTS && defined(__AVX512BF16__) && !REAL_IS_DOUBLE
#define NARROW 1
#include <immintrin.h>
#else
#define NARROW 0
#endif

// What leaves a library.
#define PUBLIC extern "C" __attribute__((visibility("default")))
#define ALWAYS_INLINE __attribute__((always_inline))
#define INLINE static inline ALWAYS_INLINE

// An array of so many, in lines of its own, until the function returns.
#define ON_STACK(Kind, name, count) \
  Kind* name = (Kind*)__builtin_alloca_with_align(((count) + 1) * sizeof(Kind), 512)

INLINE Vector fill(Real number) { return number - Vector{}; }

// A product as it is, not in one with the sum that it goes into.
INLINE Vector rounded(Vector product) {
#if defined(__x86_64__)
  asm("" : "+v"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

INLINE Vector pick(Mask mask, Vector yes, Vector no) { return mask ? yes : no; }

// One number that many are divided by: they are multiplied by its inverse, unless that is so
// large or small that it would not be as exact.
struct Divisor {
  Vector number, inverse;
  bool is_tame;

  explicit Divisor(Vector given) : number(given), inverse(fill(1 / given[0])) {
    constexpr Real most = REAL_IS_DOUBLE ? 1e300 : 1e37f;
    Real size = given[0] < 0 ? -given[0] : given[0];
    is_tame = size < most && size > 1 / most;
  }
};

INLINE Vector over(Vector numbers, const Divisor& by) {
  if (__builtin_expect(by.is_tame, 1)) return numbers * by.inverse;
  return numbers / by.number;
}

// Which lanes are among the first `left`.
INLINE Mask first_lanes(Int left) {
  static constexpr Bits numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Mask lanes;
  memcpy(&lanes, numbers, sizeof lanes);
  return lanes < (Bits)left;
}

// Instructions for the first lanes of a vector in memory, which compilers do not find.
#if defined(__AVX512F__) || defined(__AVX__)
#define MASKED 1
typedef Real Plain __attribute__((vector_size(VECTOR_BYTES)));
#if defined(__AVX512F__)
INLINE unsigned first_bits(Int left) {
  return left >= LANES ? (1u << LANES) - 1 : left > 0 ? (1u << left) - 1 : 0;
}
#endif
#if defined(__AVX512F__) && REAL_IS_DOUBLE
#define MASKED_LOAD(from, left) __builtin_ia32_loadupd512_mask(from, Plain{}, first_bits(left))
#define MASKED_STORE(to, value, left) __builtin_ia32_storeupd512_mask(to, value, first_bits(left))
#elif defined(__AVX512F__)
#define MASKED_LOAD(from, left) __builtin_ia32_loadups512_mask(from, Plain{}, first_bits(left))
#define MASKED_STORE(to, value, left) __builtin_ia32_storeups512_mask(to, value, first_bits(left))
#elif REAL_IS_DOUBLE
typedef long long Chosen __attribute__((vector_size(VECTOR_BYTES)));
#define MASKED_LOAD(from, left) \
  __builtin_ia32_maskloadpd256((const Plain*)(from), (Chosen)first_lanes(left))
#define MASKED_STORE(to, value, left) \
  __builtin_ia32_maskstorepd256((Plain*)(to), (Chosen)first_lanes(left), value)
#else
typedef int Chosen __attribute__((vector_size(VECTOR_BYTES)));
#define MASKED_LOAD(from, left) \
  __builtin_ia32_maskloadps256((const Plain*)(from), (Chosen)first_lanes(left))
#define MASKED_STORE(to, value, left) \
  __builtin_ia32_maskstoreps256((Plain*)(to), (Chosen)first_lanes(left), value)
#endif
#else
#define MASKED 0
#endif

// Whole vectors, or only their first `left` lanes; the others are zero.

template <bool WHOLE>
INLINE Vector load(const Real* from, Int left) {
  if (WHOLE) return *(const Anywhere*)from;
#if MASKED
  return (Vector)MASKED_LOAD(from, left);
#else
  Vector value = {};
  for (Int lane = 0; lane < LANES; lane++)
    if (lane < left) value[lane] = from[lane];
  return value;
#endif
}

INLINE void fetch(const Real* from) { __builtin_prefetch(from, 0, 2); }

template <bool WHOLE>
INLINE void store(Real* to, Vector value, Int left) {
  if (WHOLE) {
    *(Anywhere*)to = value;
    return;
  }
#if MASKED
  MASKED_STORE(to, (Plain)value, left);
#else
  for (Int lane = 0; lane < LANES; lane++)
    if (lane < left) to[lane] = value[lane];
#endif
}

// The same past the caches, if it is `far` and the vector is a line: what is not read for long
// neither pushes out what is, nor is it read before it is written.
template <bool WHOLE>
INLINE void store_far(bool far, Real* to, Vector value, Int left) {
  if (WHOLE && far && (uintptr_t)to % VECTOR_BYTES == 0) {
#if defined(__clang__)
    __builtin_nontemporal_store(value, (Vector*)to);
    return;
#elif defined(__AVX512F__)
    typedef float Floats __attribute__((vector_size(VECTOR_BYTES)));
    __builtin_ia32_movntps512((float*)to, (Floats)value);
    return;
#elif defined(__AVX__)
    typedef float Floats __attribute__((vector_size(VECTOR_BYTES)));
    __builtin_ia32_movntps256((float*)to, (Floats)value);
    return;
#endif
  }
  store<WHOLE>(to, value, left);
}

// All units of a row, vector by vector.
struct Whole { static constexpr bool value = true; };
struct Some { static constexpr bool value = false; };

template <class Body>
INLINE void each_vector(Int unit, Int left, Body body) {
  for (; left >= LANES; unit += LANES, left -= LANES) body(Whole{}, unit, left);
  if (left > 0) body(Some{}, unit, left);
}

// The first `left` lanes of a value, `neutral` in the others, for reductions.
template <bool WHOLE>
INLINE Vector only(Vector value, Int left, Real neutral) {
  return WHOLE ? value : pick(first_lanes(left), value, fill(neutral));
}

// In four sums side by side: one after the other, each addition would wait for the one before.
INLINE Real sum_of_lanes(Vector value) {
  constexpr Int BESIDE = LANES < 4 ? LANES : 4;
  Real totals[BESIDE] = {}, total = 0;
  for (Int lane = 0; lane < LANES; lane += BESIDE)
    for (Int n = 0; n < BESIDE; n++) totals[n] += value[lane + n];
  for (Int n = 0; n < BESIDE; n++) total += totals[n];
  return total;
}

INLINE Real greatest_of_lanes(Vector value) {
  Real total = value[0];
  for (Int lane = 1; lane < LANES; lane++)
    total = total != total || total > value[lane] ? total : value[lane];
  return total;
}

INLINE Int words_of(Int depth) { return NARROW ? (depth + 1) / 2 : depth; }
INLINE Int word_of(Int depth) { return NARROW ? depth / 2 : depth; }

#if NARROW
INLINE Vector multiply_add(Vector sum, Real pair, Vector pairs) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(pair), (__m512bh)pairs);
}

INLINE uint32_t bfloat16(Real number) {
  uint32_t bits;
  memcpy(&bits, &number, 4);
  if (number != number) return 0x7fc0;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

INLINE Real pair_of(Real even, Real odd) {
  uint32_t bits = bfloat16(even) | bfloat16(odd) << 16;
  Real pair;
  memcpy(&pair, &bits, 4);
  return pair;
}

INLINE void narrow_row(const Real* from, Int depth, Real* to) {
  for (Int k = 0; k + 1 < depth; k += 2) to[k / 2] = pair_of(from[k], from[k + 1]);
  if (depth & 1) to[depth / 2] = pair_of(from[depth - 1], 0);
}
#else
INLINE Vector multiply_add(Vector sum, Real factor, Vector numbers) {
  return sum + factor * numbers;
}
#endif

// Turns a square of numbers, a vector a row: blocks of one, of two, of four ... change places
// across the diagonal.
#ifdef __clang__
#define MIXED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIXED(a, b, ...) __builtin_shuffle(a, b, (Mask){__VA_ARGS__})
#endif

template <int... LANE>
struct Lanes {
  template <int BLOCK>
  INLINE void exchange(Vector& a, Vector& b) {
    constexpr int WIDE = sizeof...(LANE);
    Vector above = MIXED(a, b, (LANE & BLOCK ? WIDE + LANE - BLOCK : LANE)...);
    b = MIXED(a, b, (LANE & BLOCK ? WIDE + LANE : LANE + BLOCK)...);
    a = above;
  }

  template <int BLOCK>
  INLINE void turn(Vector* rows) {
#pragma GCC unroll 16
    for (int row = 0; row < (int)sizeof...(LANE); row++)
      if (!(row & BLOCK)) exchange<BLOCK>(rows[row], rows[row + BLOCK]);
    if constexpr (2 * BLOCK < sizeof...(LANE)) turn<2 * BLOCK>(rows);
  }
};

template <int N, int... LANE>
struct LanesBelow : LanesBelow<N - 1, N - 1, LANE...> {};
template <int... LANE>
struct LanesBelow<0, LANE...> : Lanes<LANE...> {};

INLINE void turn(Vector* rows) { LanesBelow<LANES>::turn<1>(rows); }

// Functions lane by lane. Their meaning, NaN included, is the reference's.

#define LANE_BY_LANE(name, expression)                                   \
  INLINE Vector name(Vector value) {                                     \
    Vector result;                                                       \
    for (Int lane = 0; lane < LANES; lane++) {                           \
      Real a = value[lane];                                              \
      result[lane] = expression;                                         \
    }                                                                    \
    return result;                                                       \
  }

LANE_BY_LANE(square_root, std::sqrt(a))
LANE_BY_LANE(logarithm, std::log(a))
LANE_BY_LANE(logarithm_of_one_plus, std::log1p(a))
LANE_BY_LANE(sine, std::sin(a))
LANE_BY_LANE(cosine, std::cos(a))

INLINE Vector absolute(Vector a) {
  constexpr Bits most = REAL_IS_DOUBLE ? (Bits)INT64_MAX : (Bits)INT32_MAX;
  return (Vector)((Mask)a & most);
}

INLINE Vector floor_of(Vector a) {
  constexpr Bits top = REAL_IS_DOUBLE ? (Bits)INT64_MIN : (Bits)INT32_MIN;
  constexpr Real whole = REAL_IS_DOUBLE ? 4503599627370496.0 : 8388608.0;  // from here on all are
  Vector cut = __builtin_convertvector(__builtin_convertvector(a, Mask), Vector);
  cut = pick(cut > a, cut - 1, cut);
  cut = (Vector)((Mask)cut | ((Mask)a & top));  // the floor of -0 is -0
  return pick(absolute(a) < whole, cut, a);
}

INLINE Vector sign_of(Vector a) { return pick(a > 0, fill(1), pick(a < 0, fill(-1), fill(0))); }

INLINE Vector rectified(Vector a) { return pick(a <= 0, fill(0), a); }

INLINE Vector greater_of(Vector a, Vector b) { return pick(a != a, a, pick(a > b, a, b)); }

INLINE Vector smaller_of(Vector a, Vector b) { return pick(a != a, a, pick(a < b, a, b)); }

// A value, cut off at a limit; NaN stays NaN. x86 has an instruction for it that compilers leave
// alone, because they do not know that NaN, in second place, is what should come out.
#if defined(__AVX__)
#define CUT_OFF(name, instruction, compares)                                        \
  INLINE Vector name(Vector a, Real limit) {                                        \
    Vector result;                                                                  \
    asm(instruction SUFFIX " %2, %1, %0" : "=v"(result) : "v"(fill(limit)), "v"(a)); \
    return result;                                                                  \
  }
#else
#define CUT_OFF(name, instruction, compares)                                        \
  INLINE Vector name(Vector a, Real limit) { return pick(a compares limit, fill(limit), a); }
#endif

CUT_OFF(at_most, "vminp", >)
CUT_OFF(at_least, "vmaxp", <)

// e^a = 2^n (1 + r + r^2 q(r)) with a = n ln 2 + r, |r| <= ln 2 / 2. The polynomial q
// interpolates at the Chebyshev nodes of that interval; e^r is off by at most 1e-8 relative
// in float and 2e-17 in double, before rounding.
#if REAL_IS_DOUBLE
static constexpr Real SHIFTER = 6755399441055744.0;  // 1.5 * 2^52: its low bits hold n
static constexpr Real LN2_HIGH = 0.693147180369123816490, LN2_LOW = 1.90821492927058770002e-10;
static constexpr int EXPONENT_AT = 52;
static constexpr Bits EXPONENT_ZERO = 1023;
static constexpr Real LARGEST = 709.7827128933841, SMALLEST = -745.2;
INLINE Vector quadratic_rest(Vector r) {
  Vector q = fill(2.5100375832561233664e-8);
  q = q * r + (Real)2.7620075879983366586e-7;
  q = q * r + (Real)2.7557268480310025526e-6;
  q = q * r + (Real)2.4801521322368693266e-5;
  q = q * r + (Real)1.9841269863040545271e-4;
  q = q * r + (Real)1.3888888917196719077e-3;
  q = q * r + (Real)8.3333333333300644495e-3;
  q = q * r + (Real)4.1666666666624161903e-2;
  q = q * r + (Real)1.6666666666666667452e-1;
  return q * r + (Real)5.0000000000000010211e-1;
}
#else
static constexpr Real SHIFTER = 12582912.0f;  // 1.5 * 2^23
static constexpr Real LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
static constexpr int EXPONENT_AT = 23;
static constexpr Bits EXPONENT_ZERO = 127;
static constexpr Real LARGEST = 88.7228390f, SMALLEST = -104.0f;
INLINE Vector quadratic_rest(Vector r) {
  Vector q = fill(1.3926176119635578884e-3f);
  q = q * r + (Real)8.3631730745137109028e-3f;
  q = q * r + (Real)4.1666554662050533982e-2f;
  q = q * r + (Real)1.6666577025597988190e-1f;
  return q * r + (Real)0.5f;
}
#endif

struct Split {  // e^a = 2^n (1 + rest)
  Mask n;
  Vector rest;
};

INLINE Split split_exponential(Vector a) {
  Vector shifted = a * (Real)1.44269504088896340736 + SHIFTER;
  Vector n = shifted - SHIFTER;
  Vector r = (a - n * LN2_HIGH) - n * LN2_LOW;
  return {(Mask)shifted - (Mask)fill(SHIFTER), r + r * r * quadratic_rest(r)};
}

INLINE Vector power_of_two(Mask n) { return (Vector)((n + EXPONENT_ZERO) << EXPONENT_AT); }

INLINE Vector exponential(Vector a) {
  Vector inside = at_most(at_least(a, SMALLEST), LARGEST);
  Split parts = split_exponential(inside);
  // In two factors, because 2^n alone may lie outside of what a number can hold.
  Mask half = parts.n >> 1;
  Vector result = (1 + parts.rest) * power_of_two(half) * power_of_two(parts.n - half);
  return pick(a > LARGEST, fill(INFINITY), result);
}

INLINE Vector logistic(Vector a) {
  // Above, the result is 1. Below, 2^n is an infinity, and the result 0 as it is at -infinity.
  constexpr Real low = REAL_IS_DOUBLE ? -710 : -89, high = REAL_IS_DOUBLE ? 708 : 87;
  Vector inside = at_most(at_least(a, low), high);
  Split parts = split_exponential(-inside);
  return 1 / (1 + (1 + parts.rest) * power_of_two(parts.n));
}

INLINE Vector hyperbolic_tangent(Vector a) {
  // tanh |a| = -m / (2 + m) with m = e^(-2|a|) - 1, which loses no digit near zero.
  constexpr Real most = REAL_IS_DOUBLE ? 22 : 10;
  Vector size = absolute(a);
  Vector inside = at_most(size, most);
  Split parts = split_exponential(-2 * inside);
  Vector scale = power_of_two(parts.n);
  Vector m = scale * parts.rest + (scale - 1);
  Vector result = m / (2 + m);
  constexpr Bits top = REAL_IS_DOUBLE ? (Bits)INT64_MIN : (Bits)INT32_MIN;
  return (Vector)((Mask)absolute(result) | ((Mask)a & top));
}
