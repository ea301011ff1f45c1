// Runs a program over a batch of sequences. Every thread executes `Run::work`, from one shared
// work to the next. Into how many pieces a work is cut follows from how many threads there were to
// be, not from who comes, so that every bit of the result is the same on a busy machine: how rows
// are cut into tiles decides in which order products are added up.

struct Run : Gradients {
  Team team;
  std::vector<std::atomic<Int>> claims;
  bool share_units = false;

  Run(const Program& p, const Call& c) : Gradients(p, c), claims(MOST_TURNS * c.threads) {
    team.claims = claims.data();
  }

  // Products of a block of rows with one panel of one group.
  void multiply_group(const Group& group, const Frame& f, Segment* parts, Int count,
                      const Rows* sources, Int first, Int end, Int panel, Int units, Real* products) {
    const Real* addend = nullptr;
    Int addend_stride = 0;
    if (call.hoist && group.hoisted >= 0) {
      addend_stride = stride[group.hoisted];
      addend = f.at[group.hoisted] + first * addend_stride + panel * PANEL;
    }
    for (Int k = 0; f.stretch && !program.backward && k < group.parts; k++) {
      const Part& part = program.parts[group.first_part + k];
      if (part.lasting < 0) continue;
      addend_stride = lasting_stride;
      addend = lasting_sums(f, part, sources[k], first, end, panel);
    }
    each_tile(first, end, [&](Int, Int rows) {
      multiply_rows<false>(rows, units - panel * PANEL, parts, count, addend, addend_stride, products, PANEL);
      products += rows * PANEL;
      if (addend) addend += rows * addend_stride;
      for (Int k = 0; k < count; k++) {
        parts[k].rows += rows * parts[k].stride;
        parts[k].next += parts[k].depth * parts[k].further;
      }
    });
  }

  void sweep(const Sweep& w, Frame& f, Int first, Int end, Int first_panel, Int end_panel) {
    Int n = units(w.size), unit = first_panel * PANEL;
    if (first >= end || first_panel >= end_panel) return;
    // Without products a row is passed over from end to end, as its numbers lie in memory.
    if (!w.groups) {
      Range all = {unit, least(n, end_panel * PANEL)}, ticking = all;
      if (w.clock >= 0) ticking = common(f.ticking[w.clock], all);
      auto pass = [&](Pointwise pointwise, Int from, Int to) {
        if (from < to) pointwise(f, first, end - first, from, to - from, nullptr);
      };
      pass(w.resting, all.first, ticking.first);
      pass(w.pointwise, ticking.first, ticking.end);
      pass(w.resting, ticking.end, all.end);
      return;
    }
    for (; end - first > BLOCK_ROWS; first += BLOCK_ROWS)
      sweep(w, f, first, first + BLOCK_ROWS, first_panel, end_panel);
    ON_STACK(Real, products, w.groups * BLOCK_ROWS * PANEL);
    ON_STACK(Segment, segments, 2 * program.most_parts);
    ON_STACK(Rows, sources, w.groups * program.most_parts);
    Int first_part = program.groups[w.first_group].first_part;
    const Group& last = program.groups[w.first_group + w.groups - 1];
    Real* room = f.room;
    for (Int k = first_part; k < last.first_part + last.parts; k++)
      if (!(call.hoist && program.parts[k].hoistable))
        sources[k - first_part] = rows_of_part(k, first_part, f.at[program.parts[k].source],
                                               first, end, sources, room);
    for (Int r = 0; r < w.reductions; r++) {
      const Reduction& x = program.reductions[w.first_reduction + r];
      for (Int row = first; row < end; row++)
        *(Anywhere*)(f.at[x.lanes] + row * stride[x.lanes]) = fill(x.greatest ? -INFINITY : 0);
    }
    // To and fro: what the last step read at its end is in the nearest cache still.
    bool fro = f.step & 1;
    Int p = fro ? end_panel - 1 : first_panel, turn = fro ? -1 : 1;
    Segment *here = segments, *next = segments + program.most_parts;
    auto look_at_parts = [&](Int g, Int panel, Segment* to) {
      const Group& group = program.groups[w.first_group + g];
      Int count = 0;
      if (rests(group.clock, f, panel)) return count;
      for (Int k = group.first_part; k < group.first_part + group.parts; k++)
        if (!(call.hoist && program.parts[k].hoistable))
          count += look_at_product(to[count], program.parts[k], sources[k - first_part], f, first,
                                   panel);
      return count;
    };
    Int count = look_at_parts(0, p, here);
    for (Int left = end_panel - first_panel; left-- > 0; p += turn) {
      for (Int g = 0; g < w.groups; g++) {
        Int following = 0;
        if (g + 1 < w.groups) following = look_at_parts(g + 1, p, next);
        else if (left) following = look_at_parts(0, p + turn, next);
        for (Int k = 0; k < least(count, following); k++) fetch_ahead(here[k], next[k], end - first);
        const Group& group = program.groups[w.first_group + g];
        Real* sums = products + g * BLOCK_ROWS * PANEL;
        const Rows* read = sources + group.first_part - first_part;
        if (!rests(group.clock, f, p)) multiply_group(group, f, here, count, read, first, end, p, n, sums);
        else if (group.clock != w.clock) memset(sums, 0, (end - first) * PANEL * sizeof(Real));
        std::swap(here, next);
        count = following;
      }
      Pointwise pointwise = rests(w.clock, f, p) ? w.resting : w.pointwise;
      pointwise(f, first, end - first, p * PANEL, n - p * PANEL, products);
    }
    for (Int r = 0; r < w.reductions; r++) {
      const Reduction& x = program.reductions[w.first_reduction + r];
      for (Int row = first; row < end; row++) {
        Vector lanes = *(const Anywhere*)(f.at[x.lanes] + row * stride[x.lanes]);
        f.at[x.result][row] = x.greatest ? greatest_of_lanes(lanes) : sum_of_lanes(lanes);
      }
    }
  }

  // Where a piece of the rows begins, so that each has as many steps of a chunk to do.
  Int cut(Int piece, Int pieces, Int first_step, Int end_step) const {
    if (!offset) return call.batch * piece / pieces;
    if (piece == pieces) return call.batch;
    Int total = at(end_step) - at(first_step), low = 0, high = rows_at(first_step);
    while (low < high) {
      Int middle = (low + high) / 2, sum = 0;
      for (Int step = first_step; step < end_step; step++) sum += least(rows_at(step), middle);
      if (sum * pieces < total * piece) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Whether there are rows enough for each thread to have its own.
  bool rows_suffice() const { return call.batch >= 8 * call.threads; }

  // How many pieces each thread gets of the rows of a chunk: blocks, as long as these are not many.
  static constexpr Int MOST_TURNS = 16;
  Int turns_of(Int rows) const {
    Int together = BLOCK_ROWS * call.threads;
    return rows ? least((rows + together - 1) / together, MOST_TURNS) : 1;
  }

  // The same of left sides, with so many rows or more to a piece: a power of two, so that
  // boundaries of gates are likely to be some of pieces.
  Int turns_of(const Lefts& lefts) const {
    Int turns = 1, worth = (lefts.uneven ? 2 : 4) * TILE_ROWS * call.threads;
    while (turns < MOST_TURNS && 2 * turns * worth <= lefts.rows) turns *= 2;
    return turns;
  }

  // Shared by all: `body(piece, pieces)`, so many turns for each thread. Those of the threads
  // follow each other to and fro: where rows are more work the further ahead they are, whoever is
  // first would always have more.
  template <class Body>
  void share(Member& me, Int turns, Body body) {
    Int threads = call.threads;
    team.share(me, turns * threads, [&](Int number) {
      Int thread = number / turns, turn = number % turns;
      body(turn * threads + (turn & 1 ? threads - 1 - thread : thread), turns * threads);
    });
  }
  template <class Body>
  void share_rows(Member& me, Int rows, Int turns, Body body) {
    share(me, turns, [&](Int piece, Int pieces) {
      Int first = rows * piece / pieces, end = rows * (piece + 1) / pieces;
      if (first < end) body(first, end);
    });
  }

  // What ticks at each step of a chunk, if there are clocks and anybody asks.
  void look_around(Frame& f, Stretch& steps, std::vector<Range>& ticking) {
    bool few = call.batch < WORTH_A_LOOK || steps.end - steps.first > MOST_PIECES;
    if (!program.clock_count || few || !(lasts || behind())) return;
    ticking.clear();
    for (Int step = steps.first; step < steps.end; step++) {
      look_at(f, step, steps.chunk_row);
      ticking.insert(ticking.end(), f.ticking, f.ticking + program.clock_count);
    }
    steps.ticking = ticking.data();
  }

  // The steps of a chunk. Threads either share the units and meet after every pass over them,
  // or each does some rows without a look at the others; rows are few where one does them all.
  void run_chunk(Member& me, Frame& f, Int first_step, Int end_step, Int chunk_row) {
    Int n = 0, s = program.ahead_count, steps = end_step - first_step;
    auto step = [&] { return program.backward ? end_step - 1 - n : first_step + n; };
    auto pass = [&](Int first, Int end, bool shared) {
      if (s == program.ahead_count) look_at(f, step(), chunk_row);
      // Behind the last step of a gradient often nobody asks for that of the first states.
      bool asked = step() || !program.backward || wants_states() || !program.sweeps[s].only_carries;
      if (lasts && program.backward && s == program.lasting.sweep)
        add_waiting(f, first, least(end, rows_at(step())));
      if (asked)
        run_sweep(program.sweeps[s], f, first, least(end, rows_at(step())), shared ? me.id : -1);
      if (++s == program.sweep_count) s = program.ahead_count, n++;
    };
    if (program.sweep_count == program.ahead_count) return;
    while (share_units && !team.parted && n < steps) {
      pass(0, call.batch, true);
      settle();
      team.meet(me);
    }
    if (n == steps) return;
    Int done = n, sweeps_done = s;
    share(me, 1, [&](Int piece, Int pieces) {
      bool all = call.share_units && !rows_suffice();
      Int first = all ? 0 : cut(piece, pieces, first_step, end_step);
      Int end = all ? (piece ? 0 : call.batch) : cut(piece + 1, pieces, first_step, end_step);
      n = done, s = sweeps_done;
      look_at(f, step(), chunk_row);  // they may have parted within a step
      while (n < steps) pass(first, end, false);
      settle();
    });
  }

  bool wants_states() const {
    for (Int s = 0; s < program.state_count; s++)
      if (call.after[s]) return true;
    return false;
  }

  // Past the caches, stores overtake others.
  void settle() const {
    if (far) std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  // One pass over rows: this thread's share of it, or (-1) all.
  void run_sweep(const Sweep& w, Frame& f, Int first, Int end, Int id) {
    Int panels = panels_of(units(w.size)), rows = end - first, members = team.threads;
    if (rows <= 0) return;
    if (w.reductions && call.share_units) {  // a reduction wants all units of a row
      Int pieces = call.threads, piece = id < 0 ? 0 : pieces * id / members;
      Int last = id < 0 ? pieces : pieces * (id + 1) / members;
      for (; piece < last; piece++) {
        Int from = first + rows * piece / pieces, to = first + rows * (piece + 1) / pieces;
        if (from < to) sweep(w, f, from, to, 0, panels);
      }
    } else if (id < 0) {
      sweep(w, f, first, end, 0, panels);
    } else if (!rows_suffice()) {
      sweep(w, f, first, end, panels * id / members, panels * (id + 1) / members);
    } else {  // a panel that cannot be shared out is shared by rows
      Int from = panels * id, to = panels * (id + 1), whole = (from + members - 1) / members;
      auto cut = [&](Int number) { return first + rows * (number % members) / members; };
      if (from % members)
        sweep(w, f, cut(from), to < whole * members ? cut(to) : end, whole - 1, whole);
      sweep(w, f, first, end, whole, to / members);
      if (to % members && to / members >= whole)
        sweep(w, f, first, cut(to), to / members, to / members + 1);
    }
  }

  // What can be done for all steps of a chunk at once, before the loop: pointwise, and products.
  void go_ahead(Frame& f, Int first, Int end) {
    for (; first < end; first += BLOCK_ROWS)
      for (Int s = 0; s < program.ahead_count; s++) {
        const Sweep& w = program.sweeps[s];
        sweep(w, f, first, least(first + BLOCK_ROWS, end), 0, panels_of(units(w.size)));
      }
  }

  void hoist_chunk(Frame& f, Int first, Int end, Int chunk_row) {
    for (Int g = 0; g < program.group_count; g++) {
      const Group& group = program.groups[g];
      if (group.hoisted >= 0)
        multiply_chunk(group.first_part, group.parts, true, program.arrays[group.hoisted].size, first,
                       end, chunk_row, base[group.hoisted], stride[group.hoisted], false, f.room);
    }
  }

  void before_chunk(Member& me, Frame& f, Int chunk_row, Int rows) {
    for (Int a = 0; a < program.array_count; a++)
      if (program.arrays[a].place == STEP && base[a]) f.at[a] = base[a] + chunk_row * stride[a];
      else if (program.arrays[a].place == CHUNK || program.arrays[a].place == VECTOR) f.at[a] = base[a];
    f.step = 0, f.further = 0;
    share_rows(me, rows, turns_of(rows), [&](Int first, Int end) {
      go_ahead(f, first, end);
      if (call.hoist) hoist_chunk(f, first, end, chunk_row);
    });
  }

  void behind_chunk(Member& me, Frame& f, const Stretch& steps, Int rows, bool fresh) {
    Int chunk_row = steps.chunk_row;
    share(me, turns_of(rows), [&](Int piece, Int pieces) {
      Int first = rows * piece / pieces, end = rows * (piece + 1) / pieces;
      for (Int s = 0; s < program.sunk_count; s++) {
        const Sunk& x = program.sunk[s];
        if (!base[x.target] || first == end) continue;
        if (is_thin(x)) multiply_thin(x, first, end, chunk_row, thin_columns + me.id * thin_size);
        else multiply_chunk(x.first_part, x.parts, false, program.arrays[x.target].size, first, end,
                            chunk_row, base[x.target] + chunk_row * stride[x.target],
                            stride[x.target], x.adds, f.room, &steps);
      }
      if (piece < call.threads) add_sums(piece, call.threads, rows, fresh);
    });
    for (Int o = 0; o < program.outer_count;) {
      Lefts lefts = lefts_from(o);
      if (lefts.rows) add_outers_of(me, lefts, steps, rows, fresh);
      o = lefts.end;
    }
  }

  void add_outers_of(Member& me, const Lefts& lefts, const Stretch& steps, Int rows, bool fresh) {
    const Outer& x = program.outers[lefts.first];
    Int n = units(program.arrays[x.right].size), turns = turns_of(lefts);
    Block block = {0, 0, 0, 0, fresh};
    for (; block.from < rows; block.from += block.depth, block.fresh = false) {
      block.depth = least(OUTER_DEPTH, rows - block.from);
      for (block.unit = 0; block.unit < n; block.unit += block.units) {
        block.units = least(units_of_block(block.depth), n - block.unit);
        share_rows(me, block.depth, 1, [&](Int first, Int end) { pack_right(lefts, steps, block, first, end); });
        share_rows(me, lefts.rows, turns, [&](Int first, Int end) { add_outers(lefts, steps, block, first, end); });
      }
    }
  }

  void run_chunks(Member& me, Frame& f) {
    Int chunks = chunk ? (call.steps + chunk - 1) / chunk : 0;
    bool fresh = true;
    std::vector<Range> ticking;
    for (Int n = 0; n < chunks; n++) {
      Int which = program.backward ? chunks - 1 - n : n;
      Int first_step = which * chunk, end_step = least(first_step + chunk, call.steps);
      Int chunk_row = offset || !call.reverse ? at(first_step) : at(end_step - 1);
      Int rows = 0;
      for (Int step = first_step; step < end_step; step++) rows += rows_at(step);
      if (!rows) continue;
      if (program.ahead_count || call.hoist) before_chunk(me, f, chunk_row, rows);
      Stretch steps = {first_step, end_step, chunk_row, nullptr};
      look_around(f, steps, ticking);
      f.stretch = lasts ? &steps : nullptr;
      run_chunk(me, f, first_step, end_step, chunk_row);
      if (behind()) behind_chunk(me, f, steps, rows, fresh);
      fresh = false;
    }
    share(me, 1, [&](Int piece, Int pieces) {
      finish(call.batch * piece / pieces, call.batch * (piece + 1) / pieces);
      if (piece) return;
      if (kept) kept->digests = digests;
      end_of_gradients(fresh);
    });
  }

  void work() {
    Member me = {team.joined.fetch_add(1)};
    if (call.openmp.threads && team.threads > 1) team.threads = call.openmp.threads();
    ON_STACK(Real*, places, program.array_count);
    ON_STACK(Range, ticking, program.clock_count);
    Frame f;
    f.at = places, f.ticking = ticking, f.stride = stride.data(), f.sizes = call.sizes;
    f.far = far, f.stretch = nullptr;
    look_at_start(f);
    f.room = copies_of(me.id);
    me.since = microseconds();
    share(me, 1, [&](Int piece, Int pieces) {
      if (kept) digest(piece, pieces);
      else pack(piece, pieces);
      begin(call.batch * piece / pieces, call.batch * (piece + 1) / pieces);
    });
    team.gather(me);
    if (kept)
      share(me, 1, [&](Int piece, Int pieces) {
        if (kept->digests != digests) pack(piece, pieces);
      });
    run_chunks(me, f);
    team.leave(me);
  }

  void end_of_gradients(bool untouched) {
    for (Int s = 0; untouched && s < program.sum_count; s++)
      if (call.sums[s])
        memset(call.sums[s], 0, units(program.arrays[program.sums[s]].size) * sizeof(Real));
    for (Int o = 0; o < program.outer_count; o++) {
      const Outer& x = program.outers[o];
      if (!gradient(o) || !(untouched || x.mask)) continue;
      Int m = units(program.arrays[x.left].size), n = units(program.arrays[x.right].size);
      Int apart = call.gradients[2 * x.gradient + 1];
      for (Int row = 0; row < m; row++) {
        Range kept = {0, 0};
        if (!untouched) kept = kept_depths(x.mask, x.blocks, false, m, n, row, row + 1);
        Real* to = gradient(o) + row * apart;
        memset(to, 0, kept.first * sizeof(Real));
        memset(to + kept.end, 0, (n - kept.end) * sizeof(Real));
      }
    }
  }

  static void enter(void* self) { ((Run*)self)->work(); }

  static constexpr Int SOON_DONE = 1 << 27;  // multiplications: what one thread does in some milliseconds

  // Whether one thread is done before another that lost its core may be back on it.
  bool soon_done() const {
    Int weights = 0;
    for (Int m = 0; m < program.matrix_count; m++)
      weights += units(program.matrices[m].rows) * units(program.matrices[m].columns);
    return weights * call.batch * call.steps < SOON_DONE;
  }

  // 0, or 1 where memory did not suffice.
  int go() {
    static thread_local Arena arena;
    if (!prepare(arena)) {
      free(offset);
      if (kept) return_panels(kept);
      return 1;
    }
    // Threads that would meet at every step are of no use where they do not run side by side:
    // each takes rows then, or one takes all. One also takes what it has soon done, while the others
    // mostly keep it waiting.
    bool few = call.share_units && !rows_suffice(), alone = Company::is_better_alone(team.start);
    bool one = few ? team.crowded || alone : alone && soon_done();
    share_units = call.share_units && !team.crowded;
    run_together(call.openmp, team, enter, this, one ? 1 : call.threads);
    free(offset);
    if (kept) return_panels(kept);
    return 0;
  }
};

PUBLIC int run_program(const Program* program, const Int* arguments) {
  Call call(*program, arguments);
  return Run(*program, call).go();
}
