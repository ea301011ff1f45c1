// Products with a state that rests. As long as no unit of a block ticks, W h is for this block what
// it was; and backward, what flows to it is only added to what came from later steps. So the sums
// of products with slow blocks last from one step to the next, and gradients wait and are added up
// until the step at which the block that they flow to has ticked, to be multiplied once. In W a
// block meets itself and those behind it.

struct Lasting : Chunks {
  using Chunks::Chunks;

  Real* lasting_at(Int number, Int block, Int row) const {
    Int before = (number * program.lasting.blocks + block) * most_lasting() + row;
    return lasting + before * lasting_stride;
  }

  // Units that tick at a step lie within.
  Range ticking(const Stretch& steps, Int step) const {
    return steps.ticking[(step - steps.first) * program.clock_count + program.lasting.clock];
  }
  bool ticks(const Stretch& steps, Int step, Int block) const {
    Range range = ticking(steps, step);
    return block * block_units < range.end && (block + 1) * block_units > range.first;
  }

  // Forward: from this unit on nothing has changed since a block was last summed. Only steps of
  // the chunk count, because a thread may not know those before it.
  Int changed_until(const Stretch& steps, Int step, Int block) const {
    for (Int end = 0; step-- > steps.first;) {
      Int here = ticking(steps, step).end;
      end = here > end ? here : end;
      if (ticks(steps, step, block)) return end;
    }
    return program.lasting.blocks * block_units;
  }

  // Sums of products with all blocks behind that of a panel, from what has changed, or none.
  const Real* lasting_sums(const Frame& f, const Part& part, const Rows& source, Int first, Int end,
                           Int panel) const {
    Int m = part.weight, deep = block_units, own = panel * PANEL / deep;
    auto sums = [&](Int block) {
      if (block == program.lasting.blocks) return (Real*)nullptr;
      return lasting_at(part.lasting, block, first) + panel * PANEL;
    };
    Int changed = changed_until(*f.stretch, f.step, own);
    for (Int block = (changed - 1) / deep; block > own; block--) {
      const Real* rows = source.at + first * source.stride + block * deep;
      const Real* weights = panels[m] + panel * panel_stride[m] + block * deep * PANEL;
      Segment segment = {rows, source.stride, weights, deep, weights, 0};
      const Real* addend = sums(block + 1);
      Real* to = sums(block);
      each_tile(first, end, [&](Int, Int rows) {
        multiply_rows<false>(rows, PANEL, &segment, 1, addend, lasting_stride, to, lasting_stride);
        segment.rows += rows * source.stride;
        to += rows * lasting_stride;
        if (addend) addend += rows * lasting_stride;
      });
    }
    return sums(own + 1);
  }

  // Backward: whether what flows to a block is asked for, behind a step or the first of a chunk.
  bool is_asked(const Stretch& steps, Int step, Int block) const {
    return step == steps.first || ticks(steps, step - 1, block);
  }
  // Units of blocks that are asked for lie before this one.
  Int asked_until(const Stretch& steps, Int step) const {
    Int units = program.lasting.blocks * block_units;
    if (step > steps.first) units = ticking(steps, step - 1).end;
    return (units + block_units - 1) / block_units * block_units;
  }
  // Since which step gradients wait for a block.
  Int waits_since(const Stretch& steps, Int step, Int block) const {
    while (step + 1 < steps.end && !is_asked(steps, step + 1, block)) step++;
    return step;
  }
  Real* waiting(const Stretch& steps, Int number, Int block, Int since) const {
    return lasting_at(number, block, (since - steps.first) * call.batch);
  }

  // What a step adds to the gradients that wait. Rows that are shorter come later.
  void add_waiting(const Frame& f, Int first, Int end) const {
    const Stretch& steps = *f.stretch;
    const Sweep& w = program.sweeps[program.lasting.sweep];
    Int from = program.groups[w.first_group].first_part;
    const Group& last = program.groups[w.first_group + w.groups - 1];
    for (Int k = from; k < last.first_part + last.parts; k++) {
      const Part& part = program.parts[k];
      if (part.lasting < 0) continue;
      for (Int block = 0; block < program.lasting.blocks; block++) {
        Int since = waits_since(steps, f.step, block), wide = stride[part.source];
        if (since == f.step && is_asked(steps, f.step, block)) continue;
        Int flows = (block + 1) * block_units, known = since == f.step ? 0 : rows_at(f.step + 1);
        Range here = common(ticking(steps, f.step), {0, flows});
        Real* sums = waiting(steps, part.lasting, block, since);
        for (Int row = first; row < end; row++) {
          const Real* given = f.at[part.source] + row * wide;
          Real* to = sums + row * lasting_stride;
          if (row >= known) memcpy(to, given, flows * sizeof(Real));
          else for (Int unit = here.first; unit < here.end; unit += LANES)
            *(Anywhere*)(to + unit) += *(const Anywhere*)(given + unit);
        }
      }
    }
  }

  // One product of a sum with a panel, as far as it comes anew; returns whether it does.
  bool look_at_product(Segment& to, const Part& part, const Rows& source, const Frame& f, Int row,
                       Int panel) const {
    if (!f.stretch || part.lasting < 0) {
      look_at_part(to, part, source, row, panel, f.ticking);
      return true;
    }
    Int block = panel * PANEL / block_units;
    if (!program.backward) {
      look_at_part(to, part, source, row, panel, nullptr);
      to.depth = block_units;  // of those behind it there are sums
      return true;
    }
    if (!is_asked(*f.stretch, f.step, block)) return false;
    Int since = waits_since(*f.stretch, f.step, block);
    Rows sums = {waiting(*f.stretch, part.lasting, block, since), lasting_stride};
    if (since == f.step) look_at_part(to, part, source, row, panel, f.ticking);
    else look_at_part(to, part, sums, row, panel, nullptr);
    return true;
  }

  // Columns of a gradient, of which `before` are not among them, block by block.
  template <class Body>
  void each_block(Range columns, Int before, Body body) const {
    Int deep = block_units;
    for (Int block = (columns.first + before) / deep; block * deep < columns.end + before; block++)
      body(block, common({block * deep - before, (block + 1) * deep - before}, columns));
  }

  // What `pieces_of` finds, where the right side is a block of the state: rows that waited for it.
  Int pieces_waited(const Outer& x, const Stretch& steps, Int from, Int depth, Int first, Int end,
                    Int block, Segment* pieces) const {
    Int count = 0;
    for (Int step = steps.first; step < steps.end; step++) {
      if (!is_asked(steps, step, block)) continue;
      Int since = waits_since(steps, step, block), wide = lasting_stride;
      Int row = at(step) - steps.chunk_row, last = least(row + rows_at(step), from + depth);
      const Real* left = waiting(steps, x.lasting, block, since) + first;
      if (since == step) {
        Range range = ticking(steps, step);
        if (range.first >= end || range.end <= first) continue;
        wide = stride[x.left], left = base[x.left] + row * wide + first;
      }
      Int before = row < from ? from - row : 0;
      row += before;
      if (row < last)
        pieces[count++] = {left + before * wide, wide, packed + (row - from) * PANEL, last - row};
    }
    return count;
  }
};
