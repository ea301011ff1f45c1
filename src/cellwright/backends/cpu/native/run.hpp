// Runs a program over a batch of sequences. Every thread executes `Run::work`; what threads
// share they write in turns, with a meeting in between.

#include <sys/mman.h>
#include <cstdlib>
#include <new>

// Memory that grows and is kept for the next call, in large pages where the system has them.
struct Arena {
  char* memory = nullptr;
  size_t size = 0, used = 0;

  ~Arena() {
    if (memory) munmap(memory, size);
  }
  bool reserve(size_t wanted) {
    used = 0;
    if (wanted <= size) return true;
    if (memory) munmap(memory, size);
    constexpr size_t page = 1 << 21;
    size = (wanted + page - 1) / page * page;
    void* got = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory = got == MAP_FAILED ? nullptr : (char*)got;
    if (!memory) {
      size = 0;
      return false;
    }
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);
#endif
    return true;
  }
  Real* take(Int numbers) {
    Real* start = (Real*)(memory + used);
    // A line apart, and never a whole page: rows of two arrays should not share cache places.
    used += ((size_t)numbers * sizeof(Real) + 191) / 64 * 64;
    return start;
  }
};

struct Call {  // what Python asks for; laid out by `Function` in library.py
  OpenMP openmp;
  Int threads, steps, batch;
  bool reverse, hoist, share_units;
  Int chunk;
  const Int *lengths, *start;
  const Int* sizes;
  Real* const* base;
  const Int* values;     // pointer and stride of each matrix
  const Int* gradients;  // pointer and stride of each gradient of a matrix
  Real* const* sums;
  Real* const* after;    // states after the last step

  Call(const Program& p, const Int* a) {
    openmp = {(decltype(openmp.parallel))a[0], (decltype(openmp.threads))a[1]};
    threads = a[2], steps = a[3], batch = a[4];
    reverse = a[5], hoist = a[6], share_units = a[7], chunk = a[8];
    lengths = (const Int*)a[9], start = (const Int*)a[10];
    Int given = 0, wanted = 0;
    for (Int m = 0; m < p.matrix_count; m++)
      if (p.matrices[m].values >= given) given = p.matrices[m].values + 1;
    for (Int o = 0; o < p.outer_count; o++)
      if (p.outers[o].gradient >= wanted) wanted = p.outers[o].gradient + 1;
    const Int* next = a + 11;
    sizes = next, next += p.size_count;
    base = (Real* const*)next, next += p.array_count;
    values = next, next += 2 * given;
    gradients = next, next += 2 * wanted;
    sums = (Real* const*)next, next += p.sum_count;
    after = (Real* const*)next;
  }
};

struct Run {
  const Program& program;
  const Call& call;
  Team team;
  Real* base[MOST_ARRAYS];
  Int stride[MOST_ARRAYS];
  Real* panels[MOST_MATRICES];       // first panel of each matrix
  Int panel_stride[MOST_MATRICES];   // from one of its panels to the next
  Real* sums;         // (threads, all sums)
  Int sums_wide = 0;
  Real* packed;       // (threads, pack_size), for gradients of matrices
  Int pack_size = 0;
  Int* offset;        // first row of each step, where lengths differ
  Int chunk;
  bool apart = false; // nothing to wait for between chunks

  Run(const Program& p, const Call& c) : program(p), call(c) {}

  Int units(Int size) const { return call.sizes[size]; }
  Int wide(Int size) const { return panels_of(units(size)) * PANEL; }
  bool is_ours(Place place) const {
    return place == CHUNK || place == CARRIED || place == SCRATCH || place == REDUCED;
  }

  // Where the rows of a step lie; steps count in the order in which a sequence is read.
  Int at(Int step) const {
    if (offset) return offset[step];
    return (call.reverse ? call.steps - 1 - step : step) * call.batch;
  }
  Int rows_at(Int step) const { return offset ? offset[step + 1] - offset[step] : call.batch; }

  Int rows_of(const Array& a) const {
    return a.place == CHUNK ? most_rows : a.place == CARRIED ? 2 * call.batch : call.batch;
  }
  Int most_rows = 0;

  // Steps taken together before gradients of weights are added up: enough rows for products
  // at full speed, few enough that what lies between stays in the cache.
  void choose_chunk() {
    Int row = 0;
    for (Int a = 0; a < program.array_count; a++)
      if (program.arrays[a].place == CHUNK) row += wide(program.arrays[a].size);
    bool between = program.sunk_count || program.outer_count || (call.hoist && row);
    Int wanted = call.chunk;
    if (!wanted && !between) wanted = offset ? call.steps / 16 + 1 : call.steps;
    if (!wanted) {
      Int rows = (4 << 20) / (Int)sizeof(Real) / (row ? row : 1);
      rows = rows < 256 ? 256 : rows > 1024 ? 1024 : rows;
      wanted = rows / (call.batch ? call.batch : 1);
    }
    chunk = wanted < 1 ? 1 : wanted > call.steps ? call.steps : wanted;
    apart = !between && !offset;
    most_rows = chunk * call.batch;
  }

  // Lays out everything that is not given.
  bool prepare(Arena& arena) {
    for (Int a = 0; a < program.array_count; a++) {
      const Array& array = program.arrays[a];
      bool padded = is_ours(array.place) && array.place != REDUCED;
      stride[a] = padded || array.place == NEXT ? wide(array.size) : units(array.size);
    }
    offset = nullptr;
    if (call.lengths) {
      offset = (Int*)malloc((call.steps + 1) * sizeof(Int));
      if (!offset) return false;
      Int rows = call.batch;
      offset[0] = 0;
      for (Int step = 0; step < call.steps; step++) {
        while (rows > 0 && call.lengths[rows - 1] <= step) rows--;
        offset[step + 1] = offset[step] + rows;
      }
    }
    choose_chunk();
    size_t total = 0;
    auto count = [&](Int numbers) { total += ((size_t)numbers * sizeof(Real) + 191) / 64 * 64; };
    for (int pass = 0; pass < 2; pass++) {
      if (pass && !arena.reserve(total)) return false;
      auto place = [&](Real*& where, Int numbers) {
        if (pass) where = arena.take(numbers); else count(numbers);
      };
      for (Int a = 0; a < program.array_count; a++)
        if (is_ours(program.arrays[a].place))
          place(base[a], rows_of(program.arrays[a]) * stride[a]);
        else
          base[a] = call.base[a];
      place_panels([&](Int numbers) {
        Real* where = nullptr;
        place(where, numbers);
        return where;
      });
      sums_wide = 0;
      for (Int s = 0; s < program.sum_count; s++) sums_wide += wide(program.sums[s]);
      place(sums, sums_wide * call.threads);
      pack_size = program.outer_count ? OUTER_NUMBERS + OUTER_DEPTH * PANEL : 0;
      place(packed, pack_size * call.threads);
    }
    return true;
  }

  Int depth(Int m) const {
    const Matrix& x = program.matrices[m];
    return units(x.transposed ? x.rows : x.columns);
  }

  // Everything that a sweep multiplies with for one panel of units lies together, in the order
  // in which it is read: a step reads its weights as one stream.
  template <class Take>
  void place_panels(Take take) {
    bool placed[MOST_MATRICES] = {};
    for (Int s = 0; s < program.sweep_count; s++) {
      const Sweep& w = program.sweeps[s];
      Int members[MOST_MATRICES], count = 0, numbers = 0;
      for (Int g = w.first_group; g < w.first_group + w.groups; g++)
        for (Int k = 0; k < program.groups[g].parts; k++) {
          Int m = program.parts[program.groups[g].first_part + k].weight;
          if (placed[m]) continue;
          placed[m] = true;
          members[count++] = m;
          numbers += depth(m) * PANEL;
        }
      if (!count) continue;
      Real* where = take(numbers * panels_of(units(w.size)));
      for (Int n = 0; n < count; n++) {
        Int m = members[n];
        panels[m] = where;
        panel_stride[m] = numbers;
        if (where) where += depth(m) * PANEL;
      }
    }
    for (Int m = 0; m < program.matrix_count; m++) {
      const Matrix& x = program.matrices[m];
      if (placed[m]) continue;
      panel_stride[m] = depth(m) * PANEL;
      panels[m] = take(panel_stride[m] * panels_of(units(x.transposed ? x.columns : x.rows)));
    }
  }

  void pack(Int id, Int sharing) {
    Int number = 0;
    for (Int m = 0; m < program.matrix_count; m++) {
      const Matrix& x = program.matrices[m];
      Weight w = {(const Real*)call.values[2 * x.values], units(x.rows), units(x.columns),
                  call.values[2 * x.values + 1], x.mask, x.blocks};
      for (Int p = 0; p < panels_of(x.transposed ? w.columns : w.rows); p++)
        if (number++ % sharing == id)
          pack_panel(w, x.transposed, p, panels[m] + p * panel_stride[m]);
    }
  }

  // Both buffers of a carried state, because a short sequence joins or leaves at either.
  void begin(Int first, Int end) {
    for (Int s = 0; s < program.state_count; s++) {
      Int a = program.states[s].before;
      if (program.arrays[a].place != CARRIED) continue;
      const Real* given = call.base[a];
      Int n = units(program.arrays[a].size);
      for (Int row = first; row < end; row++)
        for (Int buffer = 0; buffer < 2; buffer++) {
          Real* to = base[a] + (buffer * call.batch + row) * stride[a];
          for (Int unit = 0; unit < n; unit++) to[unit] = given ? given[row * n + unit] : 0;
        }
    }
  }

  void finish(Int first, Int end) {
    for (Int s = 0; s < program.state_count; s++) {
      Int a = program.states[s].before;
      Real* to = call.after[s];
      if (!to) continue;
      Int n = units(program.arrays[a].size);
      for (Int row = first; row < end; row++) {
        Int length = call.lengths && !program.backward ? call.lengths[row] : call.steps;
        const Real* from;
        if (program.arrays[a].place == CARRIED) {
          from = base[a] + ((length & 1) * call.batch + row) * stride[a];
        } else {
          Int of = program.arrays[a].other;
          from = length ? base[of] + (at(length - 1) + row) * stride[of] : base[a] + row * n;
        }
        memcpy(to + row * n, from, n * sizeof(Real));
      }
    }
  }

  void look_at(Frame& f, Int step, Int first_row) {
    Int turn = (program.backward ? call.steps - 1 - step : step) & 1;
    for (Int a = 0; a < program.array_count; a++) {
      const Array& array = program.arrays[a];
      Real* from = base[a];
      switch (array.place) {
        case STEP: if (from) from += at(step) * stride[a]; break;
        case CHUNK: from += (at(step) - first_row) * stride[a]; break;
        case PREVIOUS:
          if (step) from = base[array.other] + at(step - 1) * stride[a];
          break;
        case CARRIED: from += turn * call.batch * stride[a]; break;
        case NEXT: from = base[array.other] + (1 - turn) * call.batch * stride[a]; break;
        default: break;
      }
      f.at[a] = from;
    }
    f.step = step;
  }

  void sweep(const Sweep& w, Frame& f, Int first, Int end, Int first_panel, Int end_panel) {
    alignas(64) Real products[MOST_GROUPS * TILE_ROWS * PANEL];
    Segment segments[MOST_PARTS];
    Int n = units(w.size);
    for (Int r = 0; r < w.reductions; r++) {
      const Reduction& x = program.reductions[w.first_reduction + r];
      for (Int i = first * stride[x.lanes]; i < end * stride[x.lanes]; i++)
        f.at[x.lanes][i] = x.greatest ? -INFINITY : 0;
    }
    for (Int n_panel = first_panel; n_panel < end_panel; n_panel++) {
      // To and fro: what the last step read at its end is in the nearest cache still.
      Int p = f.step & 1 ? end_panel - 1 - (n_panel - first_panel) : n_panel;
      each_tile(first, end, [&](Int row, Int rows) {
        for (Int g = 0; g < w.groups; g++) {
          const Group& group = program.groups[w.first_group + g];
          Int count = 0;
          for (Int k = group.first_part; k < group.first_part + group.parts; k++) {
            const Part& part = program.parts[k];
            if (call.hoist && part.hoistable) continue;
            segments[count++] = segment(part, f.at[part.source] + row * stride[part.source], p);
          }
          const Real* addend = nullptr;
          Int addend_stride = 0;
          if (call.hoist && group.hoisted >= 0) {
            addend_stride = stride[group.hoisted];
            addend = f.at[group.hoisted] + row * addend_stride + p * PANEL;
          }
          multiply_rows<false>(rows, segments, count, addend, addend_stride,
                               products + g * TILE_ROWS * PANEL, PANEL);
        }
        w.pointwise(f, row, rows, p * PANEL, n - p * PANEL, products);
      });
    }
    for (Int r = 0; r < w.reductions; r++) {
      const Reduction& x = program.reductions[w.first_reduction + r];
      for (Int row = first; row < end; row++) {
        const Real* lanes = f.at[x.lanes] + row * stride[x.lanes];
        Real total = lanes[0];
        for (Int i = 1; i < LANES; i++)
          if (x.greatest) total = total != total || total > lanes[i] ? total : lanes[i];
          else total += lanes[i];
        f.at[x.result][row] = total;
      }
    }
  }

  Segment segment(const Part& part, const Real* rows, Int panel) const {
    Int m = part.weight;
    return {rows, stride[part.source], panels[m] + panel * panel_stride[m], depth(m)};
  }

  // Rows [first, end) of a chunk times the parts of a sum of products, into `target`.
  void multiply_chunk(Int first_part, Int parts, bool only_hoistable, Int size, Int first,
                      Int end, Int chunk_row, Real* target, Int target_stride, bool adds) {
    constexpr Int block = 8 * TILE_ROWS;
    Segment segments[MOST_PARTS];
    Int n = units(size);
    for (Int from = first; from < end; from += block)
      for (Int p = 0; p < panels_of(n); p++)
        each_tile(from, least(from + block, end), [&](Int row, Int rows) {
          Int count = 0;
          for (Int k = first_part; k < first_part + parts; k++) {
            const Part& part = program.parts[k];
            if (only_hoistable && !part.hoistable) continue;
            bool inside = program.arrays[part.source].place == CHUNK;
            const Real* source = base[part.source] +
                                 (row + (inside ? 0 : chunk_row)) * stride[part.source];
            segments[count++] = segment(part, source, p);
          }
          Real* to = target + row * target_stride + p * PANEL;
          Int left = least(PANEL, n - p * PANEL);
          if (left == PANEL || target_stride >= (p + 1) * PANEL) {
            multiply_rows<false>(rows, segments, count, adds ? to : nullptr, target_stride, to,
                                 target_stride);
          } else {
            alignas(64) Real products[TILE_ROWS * PANEL];
            multiply_rows<false>(rows, segments, count, nullptr, 0, products, PANEL);
            for (Int r = 0; r < rows; r++)
              for (Int j = 0; j < left; j++) {
                Real before = adds ? to[r * target_stride + j] : 0;
                to[r * target_stride + j] = before + products[r * PANEL + j];
              }
          }
        });
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

  // Gradients of matrices from the rows of one chunk; this thread's share of their rows.
  void add_outers(Int id, Int piece, Int pieces, Int first_step, Int end_step, Int chunk_row,
                  Int rows, bool fresh, const Real** right_rows) {
    for (Int o = 0; o < program.outer_count;) {
      Int run = o, total = 0;
      for (; run < program.outer_count && program.outers[run].right == program.outers[o].right; run++)
        total += gradient(run) ? units(program.arrays[program.outers[run].left].size) : 0;
      Int mine = total * piece / pieces, mine_end = total * (piece + 1) / pieces;
      if (mine < mine_end) {
        for (Int step = first_step; step < end_step; step++)
          for (Int row = 0; row < rows_at(step); row++)
            right_rows[at(step) - chunk_row + row] =
                right_row(program.outers[o], step, row, chunk_row);
        for (Int from = 0; from < rows; from += OUTER_DEPTH)
          add_outers_of(o, run, mine, mine_end, from, least(OUTER_DEPTH, rows - from),
                        fresh && !from, right_rows + from, packed + id * pack_size);
      }
      o = run;
    }
  }

  Real* gradient(Int outer) const {
    return (Real*)call.gradients[2 * program.outers[outer].gradient];
  }

  void add_outers_of(Int first, Int end, Int mine, Int mine_end, Int from, Int depth, bool fresh,
                     const Real* const* right_rows, Real* pack) {
    Int n = units(program.arrays[program.outers[first].right].size);
    Int columns = OUTER_NUMBERS / depth / PANEL * PANEL;
    columns = columns < PANEL ? PANEL : columns;
    for (Int c = 0; c < n; c += columns) {
      Int count = least(columns, n - c);
      pack_right(right_rows, depth, c, count, pack);
      Int unit = 0;
      for (Int o = first; o < end; o++) {
        if (!gradient(o)) continue;
        Int left = program.outers[o].left, m = units(program.arrays[left].size);
        Int stride_of = call.gradients[2 * program.outers[o].gradient + 1];
        Int low = mine - unit < 0 ? 0 : mine - unit, high = least(m, mine_end - unit);
        bool starts = fresh && first_of_gradient(o);
        if (low < high)
          each_tile(low, high, [&](Int row, Int rows) {
            outer_tile(base[left] + from * stride[left] + row, stride[left], depth, rows, pack,
                       count, gradient(o) + row * stride_of + c, stride_of, starts);
          });
        unit += m;
      }
    }
  }

  bool first_of_gradient(Int outer) const {
    for (Int o = 0; o < outer; o++)
      if (program.outers[o].gradient == program.outers[outer].gradient) return false;
    return true;
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

  // The steps of a chunk for some rows; `id` and the other threads each do a part of the units,
  // or, where `sharing` is 1, this thread does them all.
  void run_steps(Int id, Int sharing, Frame& f, Int first_step, Int end_step, Int chunk_row,
                 Int first, Int end) {
    for (Int n = 0; n < end_step - first_step; n++) {
      Int step = program.backward ? end_step - 1 - n : first_step + n;
      Int last = least(end, rows_at(step));
      look_at(f, step, chunk_row);
      for (Int s = 0; s < program.sweep_count; s++) {
        const Sweep& w = program.sweeps[s];
        Int panels = panels_of(units(w.size));
        if (first < last)
          sweep(w, f, first, last, panels * id / sharing, panels * (id + 1) / sharing);
        if (sharing == 1) continue;
        team.meet();
        if (team.alone && id) return;
        if (team.alone) id = 0, sharing = 1;
      }
    }
  }

  void run_chunk(Int id, Frame& f, Int first_step, Int end_step, Int chunk_row) {
    if (call.share_units) {
      bool alone = team.alone || team.threads == 1;
      if (!alone || id == 0)
        run_steps(id, alone ? 1 : (Int)team.threads, f, first_step, end_step, chunk_row, 0,
                  call.batch);
    } else {
      team.share(id, [&](Int piece, Int pieces) {
        run_steps(0, 1, f, first_step, end_step, chunk_row,
                  cut(piece, pieces, first_step, end_step),
                  cut(piece + 1, pieces, first_step, end_step));
      });
    }
  }

  // What can be done for all steps of a chunk at once, before the loop and behind it.
  void hoist_chunk(Int id, Int chunk_row, Int rows) {
    team.share(id, [&](Int piece, Int pieces) {
      Int first = rows * piece / pieces, end = rows * (piece + 1) / pieces;
      for (Int g = 0; g < program.group_count; g++) {
        const Group& group = program.groups[g];
        if (group.hoisted < 0) continue;
        multiply_chunk(group.first_part, group.parts, true, program.arrays[group.hoisted].size,
                       first, end, chunk_row, base[group.hoisted], stride[group.hoisted], false);
      }
    });
  }

  void sink_chunk(Int id, Int first_step, Int end_step, Int chunk_row, Int rows, bool fresh,
                  const Real** right_rows) {
    team.share(id, [&](Int piece, Int pieces) {
      Int first = rows * piece / pieces, end = rows * (piece + 1) / pieces;
      for (Int s = 0; s < program.sunk_count; s++) {
        const Sunk& x = program.sunk[s];
        if (!base[x.target]) continue;
        multiply_chunk(x.first_part, x.parts, false, program.arrays[x.target].size, first, end,
                       chunk_row, base[x.target] + chunk_row * stride[x.target],
                       stride[x.target], x.adds);
      }
      add_outers(id, piece, pieces, first_step, end_step, chunk_row, rows, fresh, right_rows);
    });
  }

  void work() {
    Int id = team.joined.fetch_add(1);
    if (call.openmp.threads && team.threads > 1) team.threads = call.openmp.threads();
    team.share(id, [&](Int piece, Int pieces) {
      pack(piece, pieces);
      begin(call.batch * piece / pieces, call.batch * (piece + 1) / pieces);
    });
    Real* my_sums = sums + id * sums_wide;
    memset(my_sums, 0, sums_wide * sizeof(Real));
    Real* sum_of[MOST_SUMS];
    Int unit = 0;
    for (Int s = 0; s < program.sum_count; unit += wide(program.sums[s++])) sum_of[s] = my_sums + unit;
    const Real** right_rows = nullptr;
    if (program.outer_count) right_rows = (const Real**)malloc(most_rows * sizeof(Real*) + 1);
    Frame f;
    f.stride = stride, f.sums = sum_of, f.start = call.start, f.sizes = call.sizes;
    team.meet();
    Int chunks = chunk ? (call.steps + chunk - 1) / chunk : 0;
    bool fresh = true;
    for (Int n = 0; n < chunks; n++) {
      Int which = program.backward ? chunks - 1 - n : n;
      Int first_step = which * chunk, end_step = least(first_step + chunk, call.steps);
      Int chunk_row = offset || !call.reverse ? at(first_step) : at(end_step - 1);
      Int rows = 0;
      for (Int step = first_step; step < end_step; step++) rows += rows_at(step);
      if (!rows) continue;
      if (call.hoist) hoist_chunk(id, chunk_row, rows);
      if (!apart) team.meet();
      run_chunk(id, f, first_step, end_step, chunk_row);
      if (!apart) team.meet();
      if (program.sunk_count || program.outer_count)
        sink_chunk(id, first_step, end_step, chunk_row, rows, fresh, right_rows);
      if (program.sunk_count || program.outer_count) team.meet();
      fresh = false;
    }
    team.meet();
    free(right_rows);
    Int members = team.threads;
    finish(call.batch * id / members, call.batch * (id + 1) / members);
    if (id == 0) end_of_gradients(fresh);
    team.meet();
  }

  void end_of_gradients(bool untouched) {
    Int unit = 0;
    for (Int s = 0; s < program.sum_count; unit += wide(program.sums[s++]))
      if (call.sums[s])
        for (Int i = 0; i < units(program.sums[s]); i++) {
          Real total = 0;
          for (Int t = 0; t < team.threads; t++) total += sums[t * sums_wide + unit + i];
          call.sums[s][i] = total;
        }
    for (Int o = 0; o < program.outer_count; o++) {
      const Outer& x = program.outers[o];
      if (!gradient(o) || !(untouched || x.mask)) continue;
      Int m = units(program.arrays[x.left].size), n = units(program.arrays[x.right].size);
      Weight w = {gradient(o), m, n, call.gradients[2 * x.gradient + 1], x.mask, x.blocks};
      for (Int row = 0; row < m; row++)
        for (Int column = 0; column < n; column++)
          if (untouched || !is_kept(w, row, column)) gradient(o)[row * w.stride + column] = 0;
    }
  }

  static void enter(void* self) { ((Run*)self)->work(); }

  // 0, or 1 where memory did not suffice.
  int go() {
    static thread_local Arena arena;
    if (!prepare(arena)) {
      free(offset);
      return 1;
    }
    // Threads that would meet at every step are of no use where they do not run side by side.
    run_together(call.openmp, team, enter, this, team.crowded && call.share_units ? 1 : call.threads);
    free(offset);
    return 0;
  }
};
