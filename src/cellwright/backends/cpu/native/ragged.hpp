// Ragged batches: which steps exist, in which order the kernels want them, and their rows brought
// there and back.

// Packed, all first steps come first, then all second steps, and so on; within a step the longest
// sequences come first. `active` is (steps, batch). Tells the place of each packed row among the
// rows of all steps, behind them those that do not exist; the rows of the batch, longest first and
// as they come where they are equally long; and their lengths. Returns how many rows exist.
PUBLIC Int order_steps(const char* active, Int steps, Int batch, Int reverse, Int* places,
                       Int* order, Int* lengths) {
  std::vector<Int> length(batch), sorted(batch), done(batch), next(steps + 2);
  for (Int step = 0; step < steps; step++)
    for (Int row = 0; row < batch; row++) length[row] += active[step * batch + row] != 0;
  // Where the rows of each length begin, the longest at 0.
  for (Int row = 0; row < batch; row++) next[length[row]]++;
  for (Int n = steps, total = 0; n >= 0; n--) {
    Int rows = next[n];
    next[n] = total;
    total += rows;
  }
  for (Int row = 0; row < batch; row++) {
    sorted[row] = next[length[row]]++;
    order[sorted[row]] = row;
    lengths[sorted[row]] = length[row];
  }
  // Where the rows of each step begin, and behind them all what does not exist.
  Int there = 0;
  for (Int n = 0, rows = batch; n < steps; n++) {
    while (rows && lengths[rows - 1] <= n) rows--;
    next[n] = there;
    there += rows;
  }
  Int missing = there;
  for (Int n = 0; n < steps; n++)
    for (Int row = 0; row < batch; row++) {
      Int at = (reverse ? steps - 1 - n : n) * batch + row;
      if (active[at]) places[next[done[row]++] + sorted[row]] = at;
      else places[missing++] = at;
    }
  return there;
}

struct Moves {
  static constexpr Int BLOCK = 64;  // rows that a thread takes at a time

  struct Array {  // laid out by `RaggedFunctions` in library.py
    const Real* from;
    Real* to;
    Int units;
  };
  const Int* places;
  Int there, total;  // rows that exist, and all
  bool back;
  const Array* arrays;
  Int count;
  std::atomic<Int> next{0};

  void work() {
    Int rows = back ? total : there, blocks = (rows + BLOCK - 1) / BLOCK;
    for (Int block; (block = next.fetch_add(1)) < blocks * count;) {
      const Array& x = arrays[block / blocks];
      Int row = block % blocks * BLOCK, end = least(row + BLOCK, rows);
      size_t bytes = x.units * sizeof(Real);
      for (; row < end; row++)
        if (!back) memcpy(x.to + row * x.units, x.from + places[row] * x.units, bytes);
        else if (row < there) memcpy(x.to + places[row] * x.units, x.from + row * x.units, bytes);
        else memset(x.to + places[row] * x.units, 0, bytes);
    }
  }
  static void enter(void* self) { ((Moves*)self)->work(); }
};

// Rows of some arrays to where they lie packed, or back, and zeros where no step exists.
PUBLIC void move_rows(const Int* a) {
  Moves moves = {(const Int*)a[3], a[4], a[5], a[6] != 0, (const Moves::Array*)(a + 8), a[7]};
  Team team;
  run_together({(decltype(OpenMP::parallel))a[0], (decltype(OpenMP::threads))a[1]}, team,
               Moves::enter, &moves, a[2]);
}
