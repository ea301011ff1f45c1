// What a compiled cell is, as data: arrays, products and sweeps, in tables that the renderer
// fills in; only the pointwise equations are code of their own. This is all that the library of
// a cell shares with the one that walks over the tables, which is the same for all cells.

struct Range {
  Int first, end;
};

// What lies in both; an empty range lies in the second one.
INLINE Range common(Range a, Range b) {
  auto within = [&](Int n) { return n < b.first ? b.first : n > b.end ? b.end : n; };
  return {within(a.first), within(a.end)};
}

// Whole vectors of units, from the first in which something is true to the last.
template <class Truth>
INLINE Range range_of_any(Int units, Truth truth) {
  Range found = {0, 0};
  each_vector(0, units, [&](auto whole, Int unit, Int left) ALWAYS_INLINE {
    Mask mask = truth(whole, unit, left);
    Bits any = 0;
    for (Int lane = 0; lane < LANES; lane++) any |= lane < left ? mask[lane] : 0;
    if (!any) return;
    if (!found.end) found.first = unit;
    found.end = left < LANES ? units : unit + LANES;
  });
  return found;
}

enum Place {
  STEP,      // a row for each step of each sequence, given from outside
  PREVIOUS,  // the same, one step earlier; before the first step, rows given from outside
  CHUNK,     // a row for each step of each sequence of the chunk of steps at hand
  CARRIED,   // a row for each sequence, as the step before left it
  NEXT,      // what this step leaves of it
  ROW,       // a row for each sequence, given from outside
  VECTOR,    // the same for all rows, given from outside
  COUNT,     // the index of the step, which is no array
  SCRATCH,   // a row for each sequence, within a step
  REDUCED,   // SCRATCH of one number, the reduction of a value over its units
};

struct Array {
  Place place;
  Int size;   // which size
  Int other;  // PREVIOUS: the array of this step; NEXT: the CARRIED array it belongs to
  bool only_written;  // and not read here
};

struct Part {  // one matrix times one array
  Int source, weight;
  bool hoistable;  // the source is known before the loop
  Int clock;       // says where the source is zero at a step, or -1
  Int lasting;     // which of the products with a state that rests it is, or -1
};

struct Group {  // products that are added up together
  Int first_part, parts;
  Int hoisted;  // the CHUNK array that holds what was multiplied before the loop, or -1
  Int clock;    // says for which units nobody looks at the sum at a step, or -1
};

struct Stretch {  // steps of a chunk, and for each of them and each clock what ticks
  Int first, end, chunk_row;
  const Range* ticking;  // or none, where steps of few rows are not worth a look
};

struct alignas(64) Frame {  // where everything is at one step, for one thread
  Real** at;
  const Int* stride;
  const Int* start;  // how many steps each row has behind it, where they differ
  Int started;       // or all of them
  Int further;       // from the rows of this step to those of the next one, to fetch them, or 0
  bool far;          // what is only written is more than the caches hold
  const Int* sizes;
  Real* room;    // for rows of sources in the form in which products want them
  Int step;
  Range* ticking;  // for each clock, all units that tick at this step lie within
  const Stretch* stretch;  // the steps around, where products last from one to the next, or none
};

static constexpr Int BLOCK_ROWS = 8 * TILE_ROWS;  // rows that are multiplied with a panel
static constexpr Int MOST_KNOWN = 1 << 14;  // units for which the stack holds what follows from the time

// Pointwise equations of a sweep: behind products for a block of rows and one panel of units, and
// `products` is (groups, BLOCK_ROWS, PANEL); without them for any rows and units, and it is null.
typedef void (*Pointwise)(const Frame&, Int row, Int rows, Int unit, Int left,
                          const Real* products);

struct Clock {  // says at each step which units rest
  Int size;
  Range (*ticking)(const Frame&, Int units);  // whole vectors, between which others may rest
};

struct Reduction {
  bool greatest;  // else the sum
  Int lanes;      // SCRATCH array with LANES partial results a row; -1 without products
  Int result;     // REDUCED array
};

struct Sweep {  // one pass over the units of one size
  Int size;
  Int first_group, groups;
  Int first_reduction, reductions;
  Int clock;          // says which units rest at a step, or -1
  bool only_carries;  // leaves nothing but states for the step that comes next
  Pointwise pointwise;
  Pointwise resting;  // the same for units that rest, which looks at no product with that clock
};

struct Matrix {
  Int rows, columns;  // which sizes
  bool transposed;
  Int mask, blocks;
  Int values;  // which of the matrices that are given from outside
};

struct Sunk {  // products that nothing in the loop waits for
  Int target;
  Int first_part, parts;
  bool adds;  // the loop has left something in the target already
};

struct Outer {  // gradient of a matrix: sum over rows of left (outer) right
  Int left, right;
  Int gradient;
  Int mask, blocks;
  Int clock;  // says where the left side is zero at a step, or -1
  Int lasting;  // of which of the products with a state that rests it is the gradient, or -1
};

struct State {
  Int before, after;
};

struct LastingProducts {  // with a state that rests, see lasting.hpp
  Int count;
  Int clock;   // says for which units it stays as it is
  Int blocks;  // of the matrices' masks
  Int sweep;
};

struct Program {
  const Array* arrays;
  Int array_count;
  const Part* parts;
  const Group* groups;
  Int group_count;
  Int most_parts;  // of a sum of products
  const Reduction* reductions;
  const Sweep* sweeps;
  Int ahead_count;  // that many are done for all steps of a chunk before the loop
  Int sweep_count;
  const Matrix* matrices;
  Int matrix_count;
  const Sunk* sunk;
  Int sunk_count;
  const Outer* outers;
  Int outer_count;
  const Int* sums;  // arrays whose sums over all rows are gradients of vectors
  Int sum_count;
  const State* states;
  Int state_count;
  const Clock* clocks;
  Int clock_count;
  Int size_count;
  bool backward;      // runs from the last step to the first
  bool keeps_panels;  // for the next call, whose weights are likely the same
  LastingProducts lasting;
};
