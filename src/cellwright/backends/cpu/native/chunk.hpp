// Products over all rows of a chunk of steps: before the loop, behind it, and for gradients.

struct Chunks : Layout {
  using Layout::Layout;

  // The rows [first, end) of a chunk, step by step if it is told what ticks: a tile of two steps
  // would be multiplied with what ticks at either.
  template <class Body>
  void each_step_of(const Stretch* steps, Int first, Int end, Body body) const {
    if (!steps || !steps->ticking) return body(first, end, nullptr);
    for (Int step = steps->first; step < steps->end; step++) {
      Int row = at(step) - steps->chunk_row, last = least(row + rows_at(step), end);
      const Range* ticking = steps->ticking + (step - steps->first) * program.clock_count;
      row = row < first ? first : row;
      if (row < last) body(row, last, ticking);
    }
  }

  struct Rows {  // a source of products: row r at `at + r stride`
    const Real* at;
    Int stride;
  };

  // The rows [first, end) of a part's source as products want them: as pairs of bfloat16, or a
  // little further apart than a page, because all rows of a tile are read side by side and rows
  // a page apart would take each other's places in the nearest cache.
  Rows rows_of_part(Int k, Int first_part, const Real* at, Int first, Int end,
                    const Rows* known, Real*& room) const {
    Int source = program.parts[k].source;
    if (!copies_rows(source) || (!NARROW && end - first < 4)) return {at, stride[source]};
    for (Int other = first_part; other < k; other++)
      if (program.parts[other].source == source && !(call.hoist && program.parts[other].hoistable))
        return known[other - first_part];
    Int deep = depth(program.parts[k].weight), apart = room_of(deep);
    Real* to = room;
    for (Int row = first; row < end; row++) {
      const Real* from = at + row * stride[source];
#if NARROW
      narrow_row(from, deep, to + (row - first) * apart);
#else
      memcpy(to + (row - first) * apart, from, deep * sizeof(Real));
#endif
    }
    room += (end - first) * apart;
    return {to - first * apart, apart};
  }

  // Written where it is read, number by number: a copy would wait for what was just written.
  void look_at_part(Segment& to, const Part& part, const Rows& source, Int row, Int panel,
                    const Range* ticking) const {
    Int m = part.weight, from = 0, end = words_of(depth(m));
    const Matrix& x = program.matrices[m];
    if (x.mask || (ticking && part.clock >= 0)) {
      Range kept = x.mask ? kept_of[m][panel] : Range{0, depth(m)};
      if (ticking && part.clock >= 0) kept = common(ticking[part.clock], kept);
      from = word_of(kept.first), end = words_of(kept.end);
    }
    to.rows = source.at + row * source.stride + from;
    to.stride = source.stride;
    to.panel = panels[m] + panel * panel_stride[m] + from * PANEL;
    to.depth = end - from;
    to.next = panels[m];
    to.further = 0;
  }

  // While tiles of rows are multiplied with a panel, the next one comes into the second cache:
  // each tile fetches as many of its lines.
  void fetch_ahead(Segment& here, const Segment& next, Int rows) const {
    if (rows <= FEW_ROWS || !here.depth || !fetches_panels) return;
    here.next = next.panel;
    here.further = next.depth * PANEL / (here.depth * ((rows + TILE_ROWS - 1) / TILE_ROWS));
  }

  // The same for the rows of the next tile, which the first panel is the first to read.
  static void fetch_rows(Segment& here, Int rows) {
    if (!here.depth) return;
    here.next = here.rows + rows * here.stride;
    here.further = rows * here.stride / here.depth;
  }

  // Rows [first, end) of a chunk times the parts of a sum of products, into `target`.
  void multiply_chunk(Int first_part, Int parts, bool only_hoistable, Int size, Int first,
                      Int end, Int chunk_row, Real* target, Int target_stride, bool adds,
                      Real* room_of_thread, const Stretch* steps = nullptr) {
    ON_STACK(Segment, segments, parts);
    ON_STACK(Rows, sources, parts);
    ON_STACK(const Part*, used, parts);
    Int n = units(size);
    for (Int from = first; from < end; from += BLOCK_ROWS) {
      Int block_end = least(from + BLOCK_ROWS, end), count = 0;
      Real* room = room_of_thread;
      for (Int k = first_part; k < first_part + parts; k++) {
        const Part& part = program.parts[k];
        if (only_hoistable && !part.hoistable) continue;
        bool inside = program.arrays[part.source].place == CHUNK;
        const Real* at = base[part.source] + (inside ? 0 : chunk_row) * stride[part.source];
        sources[count] = rows_of_part(k, k, at, from, block_end, nullptr, room);
        used[count++] = &part;
      }
      for (Int p = 0; p < panels_of(n); p++)
        each_step_of(steps, from, block_end, [&](Int start, Int last, const Range* ticking) {
          for (Int k = 0; k < count; k++)
            look_at_part(segments[k], *used[k], sources[k], start, p, ticking);
          each_tile(start, last, [&](Int row, Int rows) {
            for (Int k = 0; k < count; k++) {
              if (p == 0) {
                fetch_rows(segments[k], rows);
              } else if (fetches_panels && p + 1 < panels_of(n)) {
                Segment next;
                look_at_part(next, *used[k], sources[k], row, p + 1, ticking);
                next.panel += next.depth * PANEL * (row - from) / (block_end - from);
                fetch_ahead(segments[k], next, block_end - from);
              }
            }
            Real* to = target + row * target_stride + p * PANEL;
            Int left = least(PANEL, n - p * PANEL);
            if (left == PANEL || target_stride >= (p + 1) * PANEL) {
              multiply_rows<false>(rows, left, segments, count, adds ? to : nullptr, target_stride, to,
                                   target_stride);
            } else {
              alignas(64) Real products[TILE_ROWS * PANEL];
              multiply_rows<false>(rows, left, segments, count, nullptr, 0, products, PANEL);
              put_columns(products, rows, left, to, target_stride, adds);
            }
            for (Int k = 0; k < count; k++) segments[k].rows += rows * segments[k].stride;
          });
        });
    }
  }

  // A panel of so few units would be zeros for the most part. This is what the gradients of a
  // sequence of single numbers are like.
  static constexpr Int THIN = NARROW ? 0 : 4;

  bool is_thin(const Sunk& x) const {
    Int deep = 0;
    for (Int k = x.first_part; k < x.first_part + x.parts; k++)
      deep += (depth(program.parts[k].weight) + LANES - 1) / LANES * LANES;
    return units(program.arrays[x.target].size) <= THIN && deep * THIN <= MOST_THIN;
  }

  // What `multiply_chunk` does, unit by unit of the target.
  void multiply_thin(const Sunk& x, Int first, Int end, Int chunk_row, Real* columns) const {
    Int n = units(program.arrays[x.target].size);
    for (Int unit = 0; unit < n; unit++) {
      Real* to = columns;
      for (Int k = x.first_part; k < x.first_part + x.parts; k++) {
        Int m = program.parts[k].weight, deep = depth(m);
        for (Int i = 0; i < (deep + LANES - 1) / LANES * LANES; i++)
          *to++ = i < deep ? panels[m][i * PANEL + unit] : 0;
      }
      for (Int row = first; row < end; row++) {
        const Real* column = columns;
        Vector sum = {};
        for (Int k = x.first_part; k < x.first_part + x.parts; k++) {
          const Part& part = program.parts[k];
          bool inside = program.arrays[part.source].place == CHUNK;
          const Real* from = base[part.source] + (row + (inside ? 0 : chunk_row)) * stride[part.source];
          Int deep = depth(part.weight), i = 0;
          for (; i + LANES <= deep; i += LANES, column += LANES)
            sum += *(const Anywhere*)(from + i) * *(const Anywhere*)column;
          if (i < deep) {
            sum += load<false>(from + i, deep - i) * *(const Anywhere*)column;
            column += LANES;
          }
        }
        Real& number = base[x.target][(chunk_row + row) * stride[x.target] + unit];
        number = (x.adds ? number : 0) + sum_of_lanes(sum);
      }
    }
  }

  // Gradients of vectors from the rows of one chunk: one of several pieces of their units. Row by
  // row, as they lie in memory, and some rows at once, because sums are read and written for each.
  void add_sums(Int piece, Int pieces, Int rows, bool fresh) const {
    for (Int s = 0; s < program.sum_count; s++) {
      Real* to = call.sums[s];
      if (!to) continue;
      Int from = program.sums[s], n = units(program.arrays[from].size), wide = stride[from];
      Int unit = n * piece / pieces, left = n * (piece + 1) / pieces - unit, row = 0;
      const Real* at = base[from] + unit;
      to += unit;
      if (fresh) memset(to, 0, left * sizeof(Real));
      for (; row + AT_ONCE <= rows; row += AT_ONCE)
        add_rows<AT_ONCE>(at + row * wide, wide, to, left);
      for (; row < rows; row++) add_rows<1>(at + row * wide, wide, to, left);
    }
  }

  static constexpr int AT_ONCE = 4;

  template <int ROWS>
  static void add_rows(const Real* from, Int wide, Real* sums, Int left) {
    each_vector(0, left, [&](auto whole, Int unit, Int left) ALWAYS_INLINE {
      constexpr bool WHOLE = decltype(whole)::value;
      Vector sum = load<WHOLE>(sums + unit, left);
      for (int r = 0; r < ROWS; r++) sum += load<WHOLE>(from + r * wide + unit, left);
      store<WHOLE>(sums + unit, sum, left);
    });
  }
};
