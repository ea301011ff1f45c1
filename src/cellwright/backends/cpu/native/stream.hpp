// One step at a time, for ever: weights stay packed, states stay where they are. The state
// before a step and after it lie in two buffers that change their roles at every step, so
// there are two frames, and nothing else is left to do at a step than to compute. The first
// step has a frame of its own: two states that become the same value share their buffers
// from then on, but may have started from different ones.

struct Stream {
  const Program& program;
  std::vector<Int> arguments;
  Call call;
  Run run;
  Arena arena;
  std::vector<Frame> frames;  // for each thread: of the first step, of odd and of even ones
  std::vector<Real*> places;  // of the arrays of each frame
  std::vector<Range> ticking;
  bool good;

  // `given` is what `Call` reads, with the arrays of the first step; `later` are those of odd
  // steps, then those of even ones, and then how far apart the rows of each array are, or 0.
  Stream(const Program& p, const Int* given, Int count, const Int* later)
      : program(p), arguments(given, given + count), call(p, arguments.data()), run(p, call),
        frames(3 * call.threads), places(frames.size() * p.array_count),
        ticking(frames.size() * clock_room()) {
    run.is_stream = true;
    run.team.threads = call.threads;
    good = run.prepare(arena);
    if (!good) return;
    run.pack(0, 1);
    Int n = p.array_count;
    for (Int a = 0; a < n; a++)
      if (later[2 * n + a]) run.stride[a] = later[2 * n + a];
    for (Int k = 0; k < 3 * call.threads; k++) {
      Frame& f = frames[k];
      Int which = k % 3;
      f.at = places.data() + k * n, f.ticking = ticking.data() + k * clock_room();
      for (Int a = 0; a < n; a++) {
        bool lent = run.is_ours(p.arrays[a].place) && !call.base[a];
        f.at[a] = lent ? run.base[a] : which ? (Real*)later[(which - 1) * n + a] : call.base[a];
      }
      f.stride = run.stride.data(), f.sizes = call.sizes;
      f.far = false, f.further = 0;
      f.room = run.copies_of(k / 3);
    }
  }

  // A line further for each frame, because each thread writes its own at every step.
  Int clock_room() const { return program.clock_count + 64 / sizeof(Range); }

  // This thread's part of a step. All threads of a team take part where weights are many enough
  // to be shared, else the first one does it alone. They meet behind it, unless it is the last.
  void step(Int number, Member& me, Team& team, bool last) {
    bool shared = team.threads > 1 && team.threads == call.threads;
    if (shared || me.id == 0) {
      Frame& f = frames[3 * me.id + (number ? 2 - (number & 1) : 0)];
      f.step = number;
      run.look_at_start(f);
      run.look_at_clocks(f);
      for (Int s = 0; s < program.sweep_count; s++) {
        run.run_sweep(program.sweeps[s], f, 0, call.batch, shared ? me.id : -1);
        if (shared && !(last && s + 1 == program.sweep_count)) team.meet(me);
      }
    }
    if (!shared && !last) team.meet(me);
  }
};

typedef void (*StreamStep)(void* stream, Int number, Member* me, Team* team, bool last);

struct Chain {  // a stack of streams, and what goes in and out at every step; see stream.py
  Int layers, number, inputs, threads;
  OpenMP openmp;
  Int last;  // microseconds: when the last steps were done
  struct Layer { StreamStep step; void* stream; } layer[1];
  // behind the layers, for each input: from, to, bytes; then output: even, odd, to, bytes
};

struct ChainRun {
  Chain* chain;
  Int steps;
  struct Copy { char *from, *to; Int bytes; };

  // Where threads are is looked at now and then: those that look out for work stay where they are.
  static constexpr Int OFTEN = 64;

  Copy* copies() const { return (Copy*)(chain->layer + chain->layers); }

  void give(Int step) const {
    for (Copy* copy = copies(); copy < copies() + chain->inputs; copy++)
      memcpy(copy->to, copy->from + step * copy->bytes, copy->bytes);
  }
  void take(Int step) const {
    char** output = (char**)(copies() + chain->inputs);
    Int bytes = (Int)output[3];
    memcpy(output[2] + step * bytes, output[(chain->number + step) & 1], bytes);
  }

  // The first step has been given, and what the last one leaves is taken behind it: threads meet
  // before this and after it.
  void run(Member& me, Team& team) {
    if (steps > 1 || chain->number % OFTEN == 0) team.gather(me);
    for (Int step = 0; step < steps; step++) {
      if (step) {
        if (me.id == 0) take(step - 1), give(step);
        team.meet(me);
      }
      for (Int l = 0; l < chain->layers; l++)
        chain->layer[l].step(chain->layer[l].stream, chain->number + step, &me, &team,
                             step + 1 == steps && l + 1 == chain->layers);
    }
  }
};

struct SharedChainRun : ChainRun {
  Team team;
  static void enter(void* self) {
    SharedChainRun* shared = (SharedChainRun*)self;
    Member me = {shared->team.joined.fetch_add(1)};
    shared->team.threads = shared->chain->openmp.threads();
    shared->run(me, shared->team);
    shared->team.leave(me);
  }
};

// To wake a thread takes longer than a step. So threads share a step only if there are many, or
// the last one is so short ago that OpenMP's threads still look out for work.
static constexpr Int MANY_STEPS = 8, SHORT_AGO = 1000;

static void run_chain(Chain* chain, Int steps) {
  static Team nobody;
  if (!steps) return;
  bool could = chain->threads > 1 && chain->openmp.parallel;
  Int start = could ? microseconds() : 0;
  ChainRun alone = {chain, steps};
  alone.give(0);
  if (could && (steps >= MANY_STEPS || start - chain->last < SHORT_AGO) && !Company::is_better_alone(start)) {
    SharedChainRun run{alone, {}};
    chain->openmp.parallel(SharedChainRun::enter, &run, (unsigned)chain->threads, 0);
    run.team.all_have_left(chain->last = microseconds());
  } else {
    Member me = {0};
    alone.run(me, nobody);
    if (could) chain->last = microseconds();
  }
  alone.take(steps - 1);
  chain->number += steps;
}

PUBLIC void* open_stream(const Program* program, const Int* arguments, Int count,
                         const Int* later) {
  Stream* stream = new (std::nothrow) Stream(*program, arguments, count, later);
  if (stream && stream->good) return stream;
  delete stream;
  return nullptr;
}
PUBLIC void close_stream(void* stream) { delete (Stream*)stream; }
PUBLIC void step_stream(void* stream, Int number, Member* me, Team* team, bool last) {
  ((Stream*)stream)->step(number, *me, *team, last);
}
PUBLIC Int panel_width() { return PANEL; }
PUBLIC Int tile_rows() { return TILE_ROWS; }
PUBLIC void step_chain(void* chain, Int steps) { run_chain((Chain*)chain, steps); }
