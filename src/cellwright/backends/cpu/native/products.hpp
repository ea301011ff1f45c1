// Matrix products. Weights are packed into panels of PANEL columns, depth by depth, so that a
// product reads them as one stream; the sums of a tile of rows stay in registers.

#include <utility>
#include <vector>

static const Tiles* tiles;  // of every `TileKind`; another library holds them

PUBLIC void take_tiles(const Tiles* given) { tiles = given; }

// `units` says how many columns of the panel are wanted.
template <bool TURNED>
INLINE void multiply_rows(Int rows, Int units, const Segment* segments, Int count,
                          const Real* addend, Int addend_stride, Real* sums, Int sums_stride) {
  TileKind kind = TURNED ? TURNED_ROWS : count && segments->further ? PLAIN : NOTHING_TO_FETCH;
  const Multiply* table = units > LANES ? tiles[kind].whole : tiles[kind].half;
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
  Vector square[LANES];
  for (int j = 0; j < LANES; j++)
    square[j] = j >= rows ? Vector{}
                : depth >= LANES ? load<true>(from + j * stride, LANES)
                                 : load<false>(from + j * stride, depth);
  turn(square);
  for (Int k = 0; k < least(depth, LANES); k++) *(Anywhere*)(to + k * PANEL) = square[k];
}

// Rows of W, PANEL of them and fewer at the end, to where products want them in the panels of a
// matrix, which lie `apart`: they are one panel, or transposed these depths of all panels. Of the
// panels the numbers `before` are left out.
static void pack_rows(const Weight& w, bool transposed, Int first, Real* panels, Int apart,
                      Int before) {
  Int end = least(first + PANEL, w.rows), columns = w.columns;
  const Real* row = w.values + first * w.stride;
  if (transposed) {
    for (Int k = first; k < end; k++, row += w.stride)
      for (Int unit = 0; unit < columns; unit += LANES) {
        Real* to = panels + (unit / PANEL * apart + k * PANEL + unit % PANEL - before);
        if (columns - unit >= LANES) *(Anywhere*)to = *(const Anywhere*)(row + unit);
        else *(Anywhere*)to = load<false>(row + unit, columns - unit);
        if (columns - unit <= LANES && unit % PANEL == 0) *(Anywhere*)(to + LANES) = Vector{};
      }
  } else {
    Real* to = panels + (first / PANEL * apart - before);
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
    Int at = unit / PANEL * apart + unit % PANEL - before;
    auto clear = [&](Int from, Int to) {
      for (Int k = from; k < to; k++) panels[at + k * PANEL] = 0;
    };
    clear(depths.first, least(kept.first, depths.end));
    clear(-least(-kept.end, -depths.first), depths.end);
  }
}

// The same, as products want it: of numbers rounded to bfloat16, two depths are one.
static void pack_for_products(const Weight& w, bool transposed, Int first, Real* panels, Int apart) {
#if NARROW
  Int depth = transposed ? least(PANEL, w.rows - first) : w.columns;
  Int here = transposed ? panels_of(w.columns) : 1, wide = depth * PANEL;
  std::vector<Real> whole(here * wide);
  Int before = transposed ? first * PANEL : first / PANEL * wide;
  pack_rows(w, transposed, first, whole.data(), wide, before);
  Real* to = panels + (transposed ? first / 2 * PANEL : first / PANEL * apart);
  for (Int p = 0; p < here; p++, to += apart)
    for (Int k = 0; k < depth; k += 2)
      for (Int j = 0; j < PANEL; j++) {
        const Real* pair = whole.data() + p * wide + k * PANEL + j;
        to[k / 2 * PANEL + j] = pair_of(pair[0], k + 1 < depth ? pair[PANEL] : 0);
      }
#else
  pack_rows(w, transposed, first, panels, apart, 0);
#endif
}

static constexpr Int OUTER_DEPTH = 1024;      // rows that are added up in registers at most
static constexpr Int MOST_PIECES = 128;       // steps that such a sum looks at one by one
static constexpr Int OUTER_NUMBERS = 1 << 17; // packed numbers, which stay in the second cache

// A row of the right side of a weight's gradient, into panels over its units that lie `apart`.
// Half a panel that has no units is never read.
INLINE void pack_row(const Real* row, Int units, Real* to, Int apart) {
  for (; units >= PANEL; units -= PANEL, row += PANEL, to += apart) {
    *(Vector*)to = *(const Anywhere*)row;
    *(Vector*)(to + LANES) = *(const Anywhere*)(row + LANES);
  }
  for (; units >= LANES; units -= LANES, row += LANES, to += LANES)
    *(Vector*)to = *(const Anywhere*)row;
  if (units) *(Vector*)to = load<false>(row, units);
}

// The first columns of a tile's sums to where they belong, or added to what stands there.
INLINE void put_columns(const Real* sums, Int rows, Int columns, Real* to, Int stride, bool adds) {
  for (Int r = 0; r < rows; r++)
    for (Int j = 0; j < columns; j += LANES) {
      Real* at = to + r * stride + j;
      Vector before = adds ? load<false>(at, columns - j) : Vector{};
      store<false>(at, before + *(const Anywhere*)(sums + r * PANEL + j), columns - j);
    }
}

// gradient (rows, units) += left^T right, or = where it is fresh; left in pieces of (depth, rows),
// right packed by `pack_row`, of whose first panel the pieces tell. Only panels with units in
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
      segments[i].next = segments[i].rows + (p == last ? 2 * rows - 1 : 0);
      segments[i].further = segments[i].stride;
    }
    Int wide = least(PANEL, units - p * PANEL);
    if (wide == PANEL) {
      multiply_rows<true>(rows, wide, segments, count, fresh ? nullptr : to, stride, to, stride);
    } else {
      Real sums[TILE_ROWS * PANEL];
      multiply_rows<true>(rows, wide, segments, count, nullptr, 0, sums, PANEL);
      put_columns(sums, rows, wide, to, stride, !fresh);
    }
  }
}
