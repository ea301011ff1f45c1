// Gradients of matrices: sums over the rows of a chunk, left (outer) right.

struct Gradients : Lasting {
  using Lasting::Lasting;

  struct Lefts {  // the left sides of some matrices with one right side, row under row
    Int first, end, rows;
    bool uneven;  // some rows are less work than others
    bool wait;    // all of them for blocks of the right side to tick, see lasting.hpp
  };

  Lefts lefts_from(Int first) const {
    Lefts lefts = {first, first, 0, false, lasts};
    for (Int& o = lefts.end; o < program.outer_count; o++) {
      const Outer& x = program.outers[o];
      bool again = false;  // who adds to a gradient comes after who begins it
      for (Int other = first; other < o; other++) again |= program.outers[other].gradient == x.gradient;
      if (again || x.right != program.outers[first].right) break;
      lefts.rows += gradient(o) ? units(program.arrays[x.left].size) : 0;
      lefts.uneven |= x.mask || x.clock >= 0;
      lefts.wait &= x.lasting >= 0;
    }
    return lefts;
  }

  struct Block {  // of a right side, packed: some rows of a chunk, and some units
    Int from, depth, unit, units;
    bool fresh;  // nothing has been added up before
  };

  // Units of so many rows that the second cache has room for them.
  static Int units_of_block(Int depth) {
    Int units = OUTER_NUMBERS / depth / PANEL * PANEL;
    return units < PANEL ? PANEL : units;
  }

  Real* gradient(Int outer) const {
    return (Real*)call.gradients[2 * program.outers[outer].gradient];
  }

  const Real* right_row(const Outer& x, Int step, Int row, Int chunk_row) const {
    const Array& array = program.arrays[x.right];
    Int wide = stride[x.right];
    if (array.place == CHUNK) return base[x.right] + (at(step) - chunk_row + row) * wide;
    if (array.place == STEP) return base[x.right] + (at(step) + row) * wide;
    if (array.place == PREVIOUS && step)
      return base[array.other] + (at(step - 1) + row) * wide;
    return base[x.right] + row * wide;
  }

  // Rows [first, end) of a block into panels over its units.
  void pack_right(const Lefts& lefts, const Stretch& steps, const Block& block, Int first, Int end) {
    const Outer& x = program.outers[lefts.first];
    first += block.from, end += block.from;
    for (Int step = steps.first; step < steps.end; step++) {
      Int before = at(step) - steps.chunk_row;
      Int row = first > before ? first - before : 0, last = least(rows_at(step), end - before);
      Int wide = block.units;
      if (lefts.wait) wide = least(asked_until(steps, step) - block.unit, wide);
      for (; wide > 0 && row < last; row++)
        pack_row(right_row(x, step, row, steps.chunk_row) + block.unit, wide,
                 packed + (before + row - block.from) * PANEL, block.depth * PANEL);
    }
  }

  // The rows [from, from + depth) of a chunk in which some of the units [first, end) of the left
  // side tick, as pieces of a sum.
  Int pieces_of(const Outer& x, const Stretch& steps, Int from, Int depth, Int first, Int end,
                const Real* right, Segment* pieces) const {
    const Real* left = base[x.left] + first;
    Int wide = stride[x.left], count = 0;
    if (x.clock < 0 || !steps.ticking) {
      pieces[0] = {left + from * wide, wide, right, depth};
      return 1;
    }
    for (Int step = steps.first; step < steps.end; step++) {
      Range ticking = steps.ticking[(step - steps.first) * program.clock_count + x.clock];
      if (ticking.first >= end || ticking.end <= first) continue;
      Int row = at(step) - steps.chunk_row, last = least(row + rows_at(step), from + depth);
      row = row < from ? from : row;
      if (row < last) pieces[count++] = {left + row * wide, wide, right + (row - from) * PANEL, last - row};
    }
    return count;
  }

  // The matrices of a block whose rows, counted through all of them, lie within [first, end).
  void add_outers(const Lefts& lefts, const Stretch& steps, const Block& block, Int first, Int end) {
    for (Int o = lefts.first; o < lefts.end; o++) {
      if (!gradient(o)) continue;
      const Outer& x = program.outers[o];
      Int m = units(program.arrays[x.left].size);
      Int low = first < 0 ? 0 : first, high = least(m, end);
      first -= m, end -= m;
      if (low >= high) continue;
      if (units(program.arrays[x.right].size) <= THIN) add_thin_outer(o, block, low, high);
      else each_tile(low, high, [&](Int row, Int rows) { add_outer(o, steps, block, row, rows); });
    }
  }

  void add_outer(Int o, const Stretch& steps, const Block& block, Int row, Int rows) const {
    Segment pieces[MOST_PIECES];
    const Outer& x = program.outers[o];
    Int m = units(program.arrays[x.left].size), n = units(program.arrays[x.right].size), c = block.unit;
    Range kept = kept_depths(x.mask, x.blocks, false, m, n, row, row + rows);
    kept = {kept.first < c ? 0 : kept.first - c, least(kept.end - c, block.units)};
    Int apart = call.gradients[2 * x.gradient + 1];
    Real* to = gradient(o) + row * apart + c;
    bool fresh = block.fresh && first_of_gradient(o);
    if (lasts && x.lasting >= 0) {
      each_block(kept, c, [&](Int unit_block, Range columns) {
        Int found = pieces_waited(x, steps, block.from, block.depth, row, row + rows, unit_block,
                                  pieces);
        outer_tile(pieces, found, block.depth, rows, block.units, columns, to, apart, fresh);
      });
      return;
    }
    Int found = pieces_of(x, steps, block.from, block.depth, row, row + rows, packed, pieces);
    outer_tile(pieces, found, block.depth, rows, block.units, kept, to, apart, fresh);
  }

  void add_thin_outer(Int o, const Block& block, Int first, Int end) const {
    const Outer& x = program.outers[o];
    Int wide = stride[x.left], apart = call.gradients[2 * x.gradient + 1];
    const Real* left = base[x.left] + block.from * wide;
    bool starts = block.fresh && first_of_gradient(o);
    for (Int row = first; row < end; row += LANES)
      for (Int column = 0; column < block.units; column++) {
        Vector sum = {};
        for (Int k = 0; k < block.depth; k++)
          sum += packed[k * PANEL + column] * *(const Anywhere*)(left + k * wide + row);
        for (Int lane = 0; lane < LANES && row + lane < end; lane++) {
          Real& to = gradient(o)[(row + lane) * apart + column];
          to = (starts ? 0 : to) + sum[lane];
        }
      }
  }

  bool first_of_gradient(Int outer) const {
    for (Int o = 0; o < outer; o++)
      if (program.outers[o].gradient == program.outers[outer].gradient) return false;
    return true;
  }
};
