// Tiles of products for every number of rows, compiled apart from what uses them and beside it.

// Gradients of weights, whose rows lie across, are summed from whole numbers.
template <bool TURNED>
INLINE Vector add(Vector sum, Real factor, Vector numbers) {
  return TURNED ? sum + factor * numbers : multiply_add(sum, factor, numbers);
}

// Loaded once: as an operand in memory a vector is loaded again for every row.
INLINE void hold(Vector& loaded) {
#if defined(__x86_64__)
  asm("" : "+v"(loaded));
#endif
}

// sums (R, PANEL) = addend (R, PANEL; none is zero) + the segments' products. Turned, the rows
// of the segments lie across: entry (r, k) at rows[k stride + r] instead of rows[r stride + k].
// Of the last panel often only the first half is wanted, and the other is left alone.
template <int R, bool TURNED, bool HALF, bool FETCHES>
static void multiply(const Segment* segments, Int count, const Real* addend, Int addend_stride,
                     Real* sums, Int sums_stride) {
  // Of few rows several depths are taken at once.
  constexpr int APART = R == 1 ? 4 : R <= FEW_ROWS ? 2 : 1;
  constexpr int SIDE = (TILE_ROWS + 1) / 2;
  Vector low[APART][R] = {}, high[APART][R] = {};
  // Loops over rows are unrolled for the compiler to see that all sums can stay in registers.
  if (addend)
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      low[0][r] = *(const Anywhere*)(addend + r * addend_stride);
      if (!HALF) high[0][r] = *(const Anywhere*)(addend + r * addend_stride + LANES);
    }
  for (Int s = 0; s < count; s++) {
    const Real* __restrict__ rows = segments[s].rows;
    const Real* __restrict__ panel = segments[s].panel;
    const Real* __restrict__ next = segments[s].next;
    const Int stride = segments[s].stride, depth = segments[s].depth, further = segments[s].further;
    const Real *upper = rows, *lower = rows + SIDE * stride;
    auto row = [&](int r) { return r < SIDE ? upper + r * stride : lower + (r - SIDE) * stride; };
    Int k = 0;
    for (; k + APART <= depth; k += APART, upper += APART, lower += APART) {
      // Two pointers, of which the compiler does not know that they belong together: it would
      // make one for every row, more than there are registers.
      asm("" : "+r"(upper), "+r"(lower));
#pragma GCC unroll 4
      for (int apart = 0; apart < APART; apart++) {
        Vector first = *(const Anywhere*)(panel + (k + apart) * PANEL);
        Vector second = {};
        if (!HALF) second = *(const Anywhere*)(panel + (k + apart) * PANEL + LANES);
        if (R > 1) hold(first), hold(second);
        if (FETCHES) __builtin_prefetch(next, 0, 2), next += further;
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
          Real factor = TURNED ? rows[(k + apart) * stride + r] : row(r)[apart];
          low[apart][r] = add<TURNED>(low[apart][r], factor, first);
          if (!HALF) high[apart][r] = add<TURNED>(high[apart][r], factor, second);
        }
      }
    }
    for (; APART > 1 && k < depth; k++) {
      Vector first = *(const Anywhere*)(panel + k * PANEL);
      Vector second = {};
      if (!HALF) second = *(const Anywhere*)(panel + k * PANEL + LANES);
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        Real factor = TURNED ? rows[k * stride + r] : rows[r * stride + k];
        low[0][r] = add<TURNED>(low[0][r], factor, first);
        if (!HALF) high[0][r] = add<TURNED>(high[0][r], factor, second);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int apart = 1; apart < APART; apart++) {
      low[0][r] += low[apart][r];
      if (!HALF) high[0][r] += high[apart][r];
    }
    *(Anywhere*)(sums + r * sums_stride) = low[0][r];
    if (!HALF) *(Anywhere*)(sums + r * sums_stride + LANES) = high[0][r];
  }
}

template <bool TURNED, bool HALF, bool FETCHES, int... R>
constexpr Multiply multiply_by_rows[] = {
    multiply<R + 1, TURNED, HALF, FETCHES && (R >= FEW_ROWS)>...};

template <bool TURNED, bool HALF, bool FETCHES, int N, int... R>
struct Count : Count<TURNED, HALF, FETCHES, N - 1, N - 1, R...> {};
template <bool TURNED, bool HALF, bool FETCHES, int... R>
struct Count<TURNED, HALF, FETCHES, 0, R...> {
  static constexpr const Multiply* table = multiply_by_rows<TURNED, HALF, FETCHES, R...>;
};

// Of half a panel, the last one at most, there is no kind that does not fetch.
template <bool TURNED, bool FETCHES>
constexpr Tiles both_widths = {Count<TURNED, false, FETCHES, TILE_ROWS>::table,
                               Count<TURNED, true, true, TILE_ROWS>::table};

// In the order of `TileKind`.
static const Tiles every_tile[] = {both_widths<false, true>, both_widths<true, true>,
                                   both_widths<false, FETCHES_ARE_FREE>};

PUBLIC const Tiles* tiles() { return every_tile; }
