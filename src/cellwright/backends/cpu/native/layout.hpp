// Where everything of one call lies: memory, rows of steps, panels of weights.

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
    size_t page = wanted < LARGE_PAGE / 2 ? 4096 : LARGE_PAGE;
    size = (wanted + page - 1) / page * page;
    void* got = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory = got == MAP_FAILED ? nullptr : (char*)got;
    if (!memory) {
      size = 0;
      return false;
    }
    if (page == LARGE_PAGE) prefer_large_pages(memory, size);
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

struct Layout {
  const Program& program;
  const Call& call;
  std::vector<Real*> base;        // of each array
  std::vector<Int> stride;
  std::vector<Real*> panels;      // first panel of each matrix
  std::vector<Int> panel_stride;  // from one of its panels to the next
  std::vector<std::vector<Range>> kept_of;  // for each panel of one with a mask the depths it keeps
  Real* packed;       // a block of the right side of gradients of matrices
  Real* thin_columns; // (threads, thin_size), a column of a matrix that has few
  Int thin_size = 0;
  Real* copies;       // (threads, copies_size()), rows as products want them
  Int* offset;        // first row of each step, where lengths differ
  Int chunk;
  KeptPanels* kept = nullptr;   // where the panels lie, if they outlive the call
  std::vector<Digest> digests;  // of the weights of this call, if so
  bool is_stream = false;       // which has its panels to itself
  Real* lasting;                // see lasting.hpp: (count, blocks, most_lasting(), lasting_stride)
  Int lasting_stride = 0, block_units = 0;
  bool lasts = false;           // whether products with a state that rests do not come anew
  bool far = false;             // whether what is only written goes past the caches
  bool fetches = false;         // whether what a step reads has to be fetched from beyond them
  bool fetches_panels = false;  // the same of panels

  Layout(const Program& p, const Call& c)
      : program(p), call(c), base(p.array_count), stride(p.array_count), panels(p.matrix_count),
        panel_stride(p.matrix_count), kept_of(p.matrix_count) {}

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

  // Whether there is something to do behind the steps of a chunk.
  bool behind() const { return program.sunk_count || program.outer_count || program.sum_count; }

  Int rows_of(const Array& a) const {
    return a.place == CHUNK ? most_rows : a.place == CARRIED ? 2 * call.batch : call.batch;
  }
  Int most_rows = 0;

  // Steps taken together before gradients of weights are added up: enough rows for products
  // at full speed, few enough that what lies between stays in the cache. 512 is best on an idle
  // machine by some 3 %, but on a busy one every wait costs a slice of somebody else's time.
  static constexpr Int CHUNK_ROWS = 1024;
  // Where much lies between, as with normalised gates, fewer rows are worth their waits, unless
  // the gradients of matrices, which are read and written once a chunk, are as much.
  static constexpr Int FEWEST_ROWS = 128, CACHED = 3 << 20;  // of each thread; bytes

  Int chunk_rows() const {
    Int between = 0, gradients = 0;
    for (Int a = 0; a < program.array_count; a++)
      if (program.arrays[a].place == CHUNK) between += stride[a];
    for (Int o = 0; o < program.outer_count; o++)
      gradients += units(program.arrays[program.outers[o].left].size) *
                   units(program.arrays[program.outers[o].right].size);
    Int room = CACHED / (Int)sizeof(Real) * call.threads, fewest = FEWEST_ROWS * call.threads;
    Int rows = (room > 2 * gradients ? room : 2 * gradients) / (between ? between : 1);
    return least(rows < fewest ? fewest : rows, CHUNK_ROWS);
  }

  void choose_chunk() {
    bool between = behind() || call.hoist || program.ahead_count;
    Int wanted = call.chunk;
    if (!wanted && !between) wanted = offset ? call.steps / 16 + 1 : call.steps;
    if (!wanted) wanted = chunk_rows() / (call.batch ? call.batch : 1);
    lasts = may_last() && call.chunk <= MOST_PIECES;
    if (lasts) wanted = least(wanted, MOST_PIECES);
    chunk = wanted < 1 ? 1 : wanted > call.steps ? call.steps : wanted;
    if (program.backward && chunk == 1) lasts = false;  // nothing would wait
    most_rows = chunk * call.batch;
  }

  // Steps of fewer rows are too many to look at each of them.
  static constexpr Int WORTH_A_LOOK = 8;

  // Where rows, and not units, are shared; blocks are whole panels; and all rows tick together.
  bool may_last() const {
    const LastingProducts& x = program.lasting;
    if (NARROW || !x.count || is_stream || call.hoist || call.share_units) return false;
    bool whole = units(program.clocks[x.clock].size) % (x.blocks * PANEL) == 0;
    return whole && call.batch >= WORTH_A_LOOK && start_together();
  }
  bool start_together() const {
    for (Int row = 1; call.start && row < call.batch; row++)
      if (call.start[row] != call.start[0]) return false;
    return true;
  }
  Int most_lasting() const { return program.backward ? most_rows : call.batch; }

  // Lays out everything that is not given.
  bool prepare(Arena& arena) {
    for (Int a = 0; a < program.array_count; a++) {
      const Array& array = program.arrays[a];
      bool padded = is_ours(array.place) && array.place != REDUCED;
      stride[a] = padded || array.place == NEXT ? wide(array.size) : units(array.size);
      // An odd number of lines: rows spread over the whole cache, whatever the size.
      if (array.place == CHUNK || array.place == SCRATCH) stride[a] += LINE;
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
    look_at_masks();
    far = bytes_of_steps(true) > FAR, fetches = bytes_of_steps(false) > FAR;
    if (program.keeps_panels && !is_stream) look_for_panels();
    size_t total = 0;
    Int packed_numbers = 0;
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
      Real* next = kept ? kept->memory : nullptr;
      place_panels([&](Int numbers) {
        Real* where = next;
        if (!pass) packed_numbers += numbers;
        if (kept) next += numbers; else place(where, numbers);
        return where;
      });
      place(packed, program.outer_count ? OUTER_NUMBERS + OUTER_DEPTH * PANEL : 0);
      thin_size = program.sunk_count ? MOST_THIN : 0;
      place(thin_columns, thin_size * call.threads);
      if (lasts) {
        const LastingProducts& x = program.lasting;
        Int size = program.clocks[x.clock].size;
        lasting_stride = wide(size) + LINE, block_units = units(size) / x.blocks;
        place(lasting, x.count * x.blocks * most_lasting() * lasting_stride);
      }
      place(copies, copies_size() * call.threads);
    }
    fetches_panels = FETCHES_ARE_FREE || packed_numbers * (Int)sizeof(Real) > FAR_PANELS;
    return true;
  }

  static constexpr Int LINE = 64 / sizeof(Real);
  static constexpr Int MOST_THIN = 1 << 16;  // numbers of a matrix that is multiplied column by column

  static constexpr Int FAR = 8 << 20;  // bytes, of which a later step would find little in a cache
  static constexpr Int FAR_PANELS = 7 << 20;  // the same of panels, which are read in order

  // What is given or taken for all steps, or only what is not read here.
  Int bytes_of_steps(bool only_written) const {
    Int numbers = 0;
    for (Int a = 0; a < program.array_count; a++) {
      const Array& array = program.arrays[a];
      bool counts = array.place == STEP && (array.only_written || !only_written) && call.base[a];
      if (counts) numbers += units(array.size);
    }
    return numbers * sizeof(Real) * (offset ? offset[call.steps] : call.steps * call.batch);
  }

  bool copies_rows(Int source) const { return NARROW || stride[source] * sizeof(Real) % 4096 == 0; }
  Int room_of(Int deep) const { return NARROW ? words_of(deep) : deep + LINE; }

  // Room of each thread for rows of sources in the form in which products want them.
  Int copies_size() const {
    Int numbers = 0;
    auto count = [&](Int first_part, Int parts) {
      for (Int k = first_part; k < first_part + parts; k++)
        if (copies_rows(program.parts[k].source))
          numbers += room_of(depth(program.parts[k].weight));
    };
    for (Int g = 0; g < program.group_count; g++)
      count(program.groups[g].first_part, program.groups[g].parts);
    for (Int s = 0; s < program.sunk_count; s++)
      count(program.sunk[s].first_part, program.sunk[s].parts);
    return numbers * BLOCK_ROWS;
  }
  Real* copies_of(Int id) const { return copies + id * copies_size(); }

  Int depth(Int m) const {
    const Matrix& x = program.matrices[m];
    return units(x.transposed ? x.rows : x.columns);
  }

  void look_at_masks() {
    for (Int m = 0; m < program.matrix_count; m++) {
      const Matrix& x = program.matrices[m];
      Int wide = units(x.transposed ? x.columns : x.rows);
      for (Int unit = 0; x.mask && unit < wide; unit += PANEL)
        kept_of[m].push_back(kept_depths(x.mask, x.blocks, x.transposed, wide, depth(m), unit,
                                         least(unit + PANEL, wide)));
    }
  }

  // Everything that a sweep multiplies with for one panel of units lies together, in the order
  // in which it is read: a step reads its weights as one stream.
  template <class Take>
  void place_panels(Take take) {
    std::vector<bool> placed(program.matrix_count);
    std::vector<Int> members(program.matrix_count);
    for (Int s = 0; s < program.sweep_count; s++) {
      const Sweep& w = program.sweeps[s];
      Int count = 0, numbers = 0;
      for (Int g = w.first_group; g < w.first_group + w.groups; g++)
        for (Int k = 0; k < program.groups[g].parts; k++) {
          const Part& part = program.parts[program.groups[g].first_part + k];
          Int m = part.weight;
          // What is multiplied before the loop would only be a gap in the loop's stream.
          if (placed[m] || (call.hoist && part.hoistable)) continue;
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

  // Panels that an earlier call has packed from the very same weights.
  void look_for_panels() {
    size_t bytes = 0;
    place_panels([&](Int numbers) {
      bytes += numbers * sizeof(Real);
      return (Real*)nullptr;
    });
    std::vector<Int> layout(call.sizes, call.sizes + program.size_count);
    layout.push_back((Int)&program);
    layout.push_back(call.hoist);
    for (Int m = 0; m < program.matrix_count; m++)
      layout.push_back(call.values[2 * program.matrices[m].values]);
    kept = borrow_panels(layout, bytes);
    if (kept) digests.resize(call.threads);
  }

  // One of several pieces of all weights, by rows.
  void digest(Int piece, Int pieces) {
    Digest found;
    for (Int m = 0; m < program.matrix_count; m++) {
      const Matrix& x = program.matrices[m];
      const Real* values = (const Real*)call.values[2 * x.values];
      Int apart = call.values[2 * x.values + 1], columns = units(x.columns);
      Int row = units(x.rows) * piece / pieces, end = units(x.rows) * (piece + 1) / pieces;
      if (apart == columns) found.add(values + row * columns, (end - row) * columns);
      else for (; row < end; row++) found.add(values + row * apart, columns);
    }
    digests[piece] = found;
  }

  void pack(Int id, Int sharing) {
    Int number = 0;
    for (Int m = 0; m < program.matrix_count; m++) {
      const Matrix& x = program.matrices[m];
      Weight w = {(const Real*)call.values[2 * x.values], units(x.rows), units(x.columns),
                  call.values[2 * x.values + 1], x.mask, x.blocks};
      for (Int row = 0; row < w.rows; row += PANEL)
        if (number++ % sharing == id)
          pack_for_products(w, x.transposed, row, panels[m], panel_stride[m]);
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
          if (given) memcpy(to, given + row * n, n * sizeof(Real));
          else memset(to, 0, n * sizeof(Real));
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
    Int next = program.backward ? step - 1 : step + 1;
    f.further = fetches && next >= 0 && next < call.steps ? at(next) - at(step) : 0;
    look_at_clocks(f);
  }

  // Rows that have one time tick together.
  void look_at_start(Frame& f) const {
    f.start = call.start, f.started = 0;
    if (!call.start || !call.batch || !start_together()) return;
    f.start = nullptr, f.started = call.start[0];
  }

  // Whether all units of a panel rest at this step, by a clock or (-1) none.
  bool rests(Int clock, const Frame& f, Int panel) const {
    if (clock < 0) return false;
    Range ticking = f.ticking[clock];
    return panel * PANEL >= ticking.end || (panel + 1) * PANEL <= ticking.first;
  }

  void look_at_clocks(Frame& f) const {
    for (Int c = 0; c < program.clock_count; c++) {
      const Clock& clock = program.clocks[c];
      Int n = units(clock.size);
      // Where every row has its own time, some may tick anywhere.
      f.ticking[c] = f.start ? Range{0, n} : clock.ticking(f, n);
    }
  }
};
