// Matrix products. Weights are packed into panels of PANEL columns, depth by depth, so that a
// product reads them as one stream; the sums of a tile of rows stay in registers.

#include <utility>
#include <vector>

struct Segment {       // a stretch of a product's depth: rows times a panel
  const Real* rows;    // first row of the tile
  Int stride;          // from row to row
  const Real* panel;   // (depth, PANEL)
  Int depth;
  Int ahead;           // of a turned tile: how far behind its rows the next tile's lie, to fetch them
};

// Gradients of weights, whose rows lie across, are summed from whole numbers.
template <bool TURNED>
INLINE Vector add(Vector sum, Real factor, Vector numbers) {
  return TURNED ? sum + factor * numbers : multiply_add(sum, factor, numbers);
}

// sums (R, PANEL) = addend (R, PANEL; none is zero) + the segments' products. Turned, the rows
// of the segments lie across: entry (r, k) at rows[k stride + r] instead of rows[r stride + k].
// Of the last panel often only the first half is wanted, and the other is left alone.
template <int R, bool TURNED, bool HALF>
static void multiply(const Segment* segments, Int count, const Real* addend, Int addend_stride,
                     Real* sums, Int sums_stride) {
  // Few rows have too few sums to hide the latency of an addition: take several depths at once.
  constexpr int APART = R == 1 ? 4 : R <= 3 ? 2 : 1;
  Vector low[APART][R] = {}, high[APART][R] = {};
  if (addend)
    for (int r = 0; r < R; r++) {
      low[0][r] = *(const Anywhere*)(addend + r * addend_stride);
      if (!HALF) high[0][r] = *(const Anywhere*)(addend + r * addend_stride + LANES);
    }
  for (Int s = 0; s < count; s++) {
    const Real* __restrict__ rows = segments[s].rows;
    const Real* __restrict__ panel = segments[s].panel;
    const Int stride = segments[s].stride, depth = segments[s].depth, ahead = segments[s].ahead;
    Int k = 0;
    for (; k + APART <= depth; k += APART)
#pragma GCC unroll 4
      for (int apart = 0; apart < APART; apart++) {
        Vector first = *(const Anywhere*)(panel + (k + apart) * PANEL);
        Vector second = {};
        if (!HALF) second = *(const Anywhere*)(panel + (k + apart) * PANEL + LANES);
        if (TURNED) __builtin_prefetch(rows + (k + apart) * stride + ahead, 0, 2);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
          Real factor = TURNED ? rows[(k + apart) * stride + r] : rows[r * stride + k + apart];
          low[apart][r] = add<TURNED>(low[apart][r], factor, first);
          if (!HALF) high[apart][r] = add<TURNED>(high[apart][r], factor, second);
        }
      }
    for (; k < depth; k++) {
      Vector first = *(const Anywhere*)(panel + k * PANEL);
      Vector second = {};
      if (!HALF) second = *(const Anywhere*)(panel + k * PANEL + LANES);
      for (int r = 0; r < R; r++) {
        Real factor = TURNED ? rows[k * stride + r] : rows[r * stride + k];
        low[0][r] = add<TURNED>(low[0][r], factor, first);
        if (!HALF) high[0][r] = add<TURNED>(high[0][r], factor, second);
      }
    }
  }
  for (int r = 0; r < R; r++) {
    for (int apart = 1; apart < APART; apart++) {
      low[0][r] += low[apart][r];
      if (!HALF) high[0][r] += high[apart][r];
    }
    *(Anywhere*)(sums + r * sums_stride) = low[0][r];
    if (!HALF) *(Anywhere*)(sums + r * sums_stride + LANES) = high[0][r];
  }
}

typedef void (*Multiply)(const Segment*, Int, const Real*, Int, Real*, Int);

template <bool TURNED, bool HALF, int... R>
constexpr Multiply multiply_by_rows[] = {multiply<R + 1, TURNED, HALF>...};

template <bool TURNED, bool HALF, int N, int... R>
struct Count : Count<TURNED, HALF, N - 1, N - 1, R...> {};
template <bool TURNED, bool HALF, int... R>
struct Count<TURNED, HALF, 0, R...> {
  static constexpr const Multiply* table = multiply_by_rows<TURNED, HALF, R...>;
};

// `units` says how many columns of the panel are wanted.
template <bool TURNED>
INLINE void multiply_rows(Int rows, Int units, const Segment* segments, Int count,
                          const Real* addend, Int addend_stride, Real* sums, Int sums_stride) {
  const Multiply* table = units > LANES ? Count<TURNED, false, TILE_ROWS>::table
                                        : Count<TURNED, true, TILE_ROWS>::table;
  table[rows - 1](segments, count, addend, addend_stride, sums, sums_stride);
}

INLINE Int panels_of(Int columns) { return (columns + PANEL - 1) / PANEL; }
INLINE Int least(Int a, Int b) { return a < b ? a : b; }

// Cuts rows into tiles as equal as can be: 16 rows are 8 and 8, not 14 and 2.
template <class Body>
INLINE void each_tile(Int first, Int end, Body body) {
  Int rows = end - first, tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
  for (Int tile = 0; tile < tiles; tile++) {
    Int from = first + tile * rows / tiles, to = first + (tile + 1) * rows / tiles;
    body(from, to - from);
  }
}

// A weight matrix (rows, columns) in panels over its rows: panel[p][k][j] = W[p PANEL + j][k];
// transposed, over its columns: panel[p][k][j] = W[k][p PANEL + j]. Panels are filled up with zeros.
struct Weight {
  const Real* values;
  Int rows, columns, stride;
  Int mask, blocks;  // 0 none, 1 block diagonal, 2 block lower, 3 block upper
};

// What a mask leaves of the depths, `depth` in all, that units [first, end) of `wide` are summed
// over; the units are rows of the matrix, or its columns if it is transposed.
INLINE Range kept_depths(Int mask, Int blocks, bool transposed, Int wide, Int depth, Int first,
                         Int end) {
  if (!mask) return {0, depth};
  Int low = first * blocks / wide, high = (end - 1) * blocks / wide + 1;
  Range kept = {(low * depth + blocks - 1) / blocks, (high * depth + blocks - 1) / blocks};
  if (mask == (transposed ? 3 : 2)) kept.first = 0;
  if (mask == (transposed ? 2 : 3)) kept.end = depth;
  return kept;
}

// A square of a matrix, turned: to[k PANEL + j] = from[j stride + k] for the first `depth` k,
// zero from the row `rows` on.
static void pack_square(const Real* from, Int stride, Int rows, Int depth, Real* to) {
  if (rows >= LANES && depth >= LANES) {
    Vector square[LANES];
    for (int j = 0; j < LANES; j++) square[j] = *(const Anywhere*)(from + j * stride);
    turn(square);
    for (int k = 0; k < LANES; k++) *(Anywhere*)(to + k * PANEL) = square[k];
    return;
  }
  for (Int k = 0; k < least(depth, LANES); k++)
    for (Int j = 0; j < LANES; j++) to[k * PANEL + j] = j < rows ? from[j * stride + k] : 0;
}

// Rows of W, PANEL of them and fewer at the end, to where products want them in the panels of a
// matrix, which lie `apart`: they are one panel, or transposed these depths of all panels.
static void pack_rows(const Weight& w, bool transposed, Int first, Real* panels, Int apart) {
  Int end = least(first + PANEL, w.rows), columns = w.columns;
  const Real* row = w.values + first * w.stride;
  if (transposed) {
    for (Int k = first; k < end; k++, row += w.stride)
      for (Int unit = 0; unit < columns; unit += LANES) {
        Real* to = panels + unit / PANEL * apart + k * PANEL + unit % PANEL;
        if (columns - unit >= LANES) *(Anywhere*)to = *(const Anywhere*)(row + unit);
        else *(Anywhere*)to = load<false>(row + unit, columns - unit);
        if (columns - unit <= LANES && unit % PANEL == 0) *(Anywhere*)(to + LANES) = Vector{};
      }
  } else {
    Real* to = panels + first / PANEL * apart;
    for (Int k = 0; k < columns; k += LANES)
      for (Int j = 0; j < PANEL; j += LANES)
        pack_square(row + j * w.stride + k, w.stride, end - first - j, columns - k, to + k * PANEL + j);
  }
  if (!w.mask) return;
  Range units = {0, columns}, depths = {first, end};
  if (!transposed) std::swap(units, depths);
  for (Int unit = units.first; unit < units.end; unit++) {
    Int wide = transposed ? columns : w.rows, depth = transposed ? w.rows : columns;
    Range kept = kept_depths(w.mask, w.blocks, transposed, wide, depth, unit, unit + 1);
    Real* to = panels + unit / PANEL * apart + unit % PANEL;
    for (Int k = depths.first; k < least(kept.first, depths.end); k++) to[k * PANEL] = 0;
    for (Int k = -least(-kept.end, -depths.first); k < depths.end; k++) to[k * PANEL] = 0;
  }
}

// The same, as products want it: of numbers rounded to bfloat16, two depths are one.
static void pack_for_products(const Weight& w, bool transposed, Int first, Real* panels, Int apart) {
#if NARROW
  Int depth = transposed ? least(PANEL, w.rows - first) : w.columns;
  Int here = transposed ? panels_of(w.columns) : 1, wide = depth * PANEL;
  std::vector<Real> whole(here * wide);
  // Where the panels would begin, if all depths and panels before were there.
  Int before = transposed ? first * PANEL : first / PANEL * wide;
  pack_rows(w, transposed, first, whole.data() - before, wide);
  Real* to = panels + (transposed ? first / 2 * PANEL : first / PANEL * apart);
  for (Int p = 0; p < here; p++, to += apart)
    for (Int k = 0; k < depth; k += 2)
      for (Int j = 0; j < PANEL; j++) {
        const Real* pair = whole.data() + p * wide + k * PANEL + j;
        to[k / 2 * PANEL + j] = pair_of(pair[0], k + 1 < depth ? pair[PANEL] : 0);
      }
#else
  pack_rows(w, transposed, first, panels, apart);
#endif
}

static constexpr Int OUTER_DEPTH = 1024;      // rows that are added up in registers at most
static constexpr Int MOST_PIECES = 128;       // steps that such a sum looks at one by one
static constexpr Int OUTER_NUMBERS = 1 << 17; // packed numbers, which stay in the second cache

// Rows of the right side of a weight's gradient, packed into panels over its units.
static void pack_right(const Real* const* rows, Int depth, Int from, Int count, Real* to) {
  for (Int p = 0; p < panels_of(count); p++)
    for (Int k = 0; k < depth; k++) {
      const Real* row = rows[k] + from + p * PANEL;
      Real* line = to + (p * depth + k) * PANEL;
      Int left = count - p * PANEL;
      if (left >= PANEL) {
        *(Vector*)line = *(const Anywhere*)row;
        *(Vector*)(line + LANES) = *(const Anywhere*)(row + LANES);
      } else {
        for (Int j = 0; j < PANEL; j++) line[j] = j < left ? row[j] : 0;
      }
    }
}

// gradient (rows, units) += left^T right, or = where it is fresh; left in pieces of (depth, rows),
// right packed by `pack_right`, of whose first panel the pieces tell. Only panels with units in
// `kept`.
static void outer_tile(const Segment* pieces, Int count, Int depth, Int rows, Int units, Range kept,
                       Real* gradient, Int stride, bool fresh) {
  Segment segments[MOST_PIECES];
  Int last = panels_of(kept.end) - 1;
  for (Int p = kept.first / PANEL; p <= last; p++) {
    Real* to = gradient + p * PANEL;
    for (Int i = 0; i < count; i++) {
      segments[i] = pieces[i];
      segments[i].panel += p * depth * PANEL;
      // Every depth is a line of its own, far from the one before: no processor guesses the next.
      segments[i].ahead = p == last ? 2 * rows - 1 : 0;
    }
    Int wide = least(PANEL, units - p * PANEL);
    if (wide == PANEL) {
      multiply_rows<true>(rows, wide, segments, count, fresh ? nullptr : to, stride, to, stride);
    } else {
      Real sums[TILE_ROWS * PANEL];
      multiply_rows<true>(rows, wide, segments, count, nullptr, 0, sums, PANEL);
      for (Int r = 0; r < rows; r++)
        for (Int j = 0; j < wide; j++) to[r * stride + j] = (fresh ? 0 : to[r * stride + j]) + sums[r * PANEL + j];
    }
  }
}
