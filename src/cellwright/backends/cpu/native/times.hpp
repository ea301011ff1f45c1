// What follows from the index of a step. A float counts to 16,777,216, which is six minutes of
// sound, and long before that has no digits left for a fraction: late times are computed in
// double. Functions that are not written for those below are those of vectors.

INLINE Vector narrowed(Vector value) { return value; }
INLINE Mask narrowed(Mask truth) { return truth; }

#if !REAL_IS_DOUBLE

typedef double Doubles __attribute__((vector_size(2 * VECTOR_BYTES)));
typedef int64_t TimeMask __attribute__((vector_size(2 * VECTOR_BYTES)));

struct Time {
  Doubles value = {};

  Time() = default;
  ALWAYS_INLINE Time(Doubles given) : value(given) {}
  ALWAYS_INLINE Time(Vector given) : value(__builtin_convertvector(given, Doubles)) {}
  ALWAYS_INLINE operator Vector() const { return __builtin_convertvector(value, Vector); }
};

INLINE Vector narrowed(Time value) { return value; }
INLINE Mask narrowed(TimeMask truth) { return __builtin_convertvector(truth, Mask); }

INLINE Time operator-(Time a) { return -a.value; }
INLINE Time operator+(Time a, Time b) { return a.value + b.value; }
INLINE Time operator-(Time a, Time b) { return a.value - b.value; }
INLINE Time operator*(Time a, Time b) { return a.value * b.value; }
INLINE Time operator/(Time a, Time b) { return a.value / b.value; }
INLINE TimeMask operator<(Time a, Time b) { return a.value < b.value; }
INLINE TimeMask operator<=(Time a, Time b) { return a.value <= b.value; }
INLINE TimeMask operator==(Time a, Time b) { return a.value == b.value; }

INLINE Time pick(TimeMask mask, Time yes, Time no) { return mask ? yes.value : no.value; }

INLINE Time rounded(Time product) {
  asm("" : "+m"(product.value));
  return product;
}

INLINE Time floor_of(Time a) {
  constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52: a sum with it is a whole number
  constexpr double whole = 2251799813685248.0;    // from here on sums are not
  Doubles cut = a.value + shifter - shifter;
  cut = cut > a.value ? cut - 1 : cut;
  Doubles size = a.value < 0 ? -a.value : a.value;
  // NaN stays NaN; floats beyond have no fraction, and indices of steps do not come that far.
  return size < whole ? cut : a.value;
}

INLINE Time absolute(Time a) { return a.value < 0 ? -a.value : a.value; }
INLINE Time sign_of(Time a) {
  Doubles zero = {};
  return a.value > 0 ? zero + 1 : a.value < 0 ? zero - 1 : zero;
}
INLINE Time greater_of(Time a, Time b) { return a.value != a.value || a.value > b.value ? a.value : b.value; }
INLINE Time smaller_of(Time a, Time b) { return a.value != a.value || a.value < b.value ? a.value : b.value; }

// A turn more or less is lost in a float that holds many.
INLINE Time sine(Time a) {
  for (Int lane = 0; lane < LANES; lane++) a.value[lane] = std::sin(a.value[lane]);
  return a;
}
INLINE Time cosine(Time a) {
  for (Int lane = 0; lane < LANES; lane++) a.value[lane] = std::cos(a.value[lane]);
  return a;
}

#endif

// In every lane the same, as a Vector or a Time.
template <class Kind>
INLINE Kind fill_as(double number) {
#if !REAL_IS_DOUBLE
  if constexpr (!std::is_same<Kind, Vector>::value) return number - Doubles{};
#endif
  return fill((Real)number);
}

INLINE Int count_of(const Frame& f, Int row) { return f.step + (f.start ? f.start[row] : f.started); }

template <class Kind>
INLINE Kind time_of(const Frame& f, Int row) {
  return fill_as<Kind>((double)count_of(f, row));
}

static constexpr Int LATE = 1 << 12;  // a period of ten steps is known to 0.0006 until then

// `body(kind)` with the kind of numbers that can hold the index of the step of a row.
template <class Body>
INLINE auto in_time(const Frame& f, Int row, Body body) {
#if !REAL_IS_DOUBLE
  if (__builtin_expect(count_of(f, row) >= LATE, 0)) return body(Time());
#endif
  return body(Vector{});
}
