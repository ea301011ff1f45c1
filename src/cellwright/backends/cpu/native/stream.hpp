// One step at a time, for ever: weights stay packed, states stay where they are. The state
// before a step and after it lie in two buffers that change their roles at every step, so
// there are two frames, and nothing else is left to do at a step than to compute. The first
// step has a frame of its own: two states that become the same value share their buffers
// from then on, but may have started from different ones.

struct Stream {
  const Program& program;
  Int* arguments;
  Call call;
  Run run;
  Arena arena;
  Frame frames[3];  // of the first step, of odd and of even ones
  bool good;

  // `given` is what `Call` reads, with the arrays of the first step; `later` are those of odd
  // steps, then those of even ones, and then how far apart the rows of each array are, or 0.
  Stream(const Program& p, const Int* given, Int count, const Int* later)
      : program(p), arguments(copied(given, count)), call(p, arguments), run(p, call) {
    run.is_stream = true;
    good = arguments && run.prepare(arena);
    if (!good) return;
    run.pack(0, 1);
    Int n = p.array_count;
    for (Int which = 0; which < 3; which++) {
      Frame& f = frames[which];
      for (Int a = 0; a < n; a++) {
        bool lent = run.is_ours(p.arrays[a].place) && !call.base[a];
        f.at[a] = lent ? run.base[a] : which ? (Real*)later[(which - 1) * n + a] : call.base[a];
        if (later[2 * n + a]) run.stride[a] = later[2 * n + a];
      }
      f.stride = run.stride, f.start = call.start, f.sizes = call.sizes;
      f.room = run.copies_of(0);
    }
  }

  ~Stream() { free(arguments); }

  static Int* copied(const Int* given, Int count) {
    Int* copy = (Int*)malloc(count * sizeof(Int));
    if (copy) memcpy(copy, given, count * sizeof(Int));
    return copy;
  }

  void step(Int number) {
    Frame& f = frames[number ? 2 - (number & 1) : 0];
    f.step = number;
    for (Int s = 0; s < program.sweep_count; s++)
      run.sweep(program.sweeps[s], f, 0, call.batch, 0, panels_of(run.units(program.sweeps[s].size)));
  }
};

typedef void (*StreamStep)(void*, Int);

struct Chain {  // a stack of streams, and what goes in and out at every step; see stream.py
  Int layers, number, inputs;
  struct Layer { StreamStep step; void* stream; } layer[1];
  // behind the layers, for each input: from, to, bytes; then output: even, odd, to, bytes
};

static void run_chain(Chain* chain, Int steps) {
  struct Copy { char *from, *to; Int bytes; };
  Copy* copies = (Copy*)(chain->layer + chain->layers);
  char** output = (char**)(copies + chain->inputs);
  char* to = output[2];
  Int bytes = (Int)output[3];
  for (Int step = 0; step < steps; step++) {
    for (Int i = 0; i < chain->inputs; i++)
      memcpy(copies[i].to, copies[i].from + step * copies[i].bytes, copies[i].bytes);
    for (Int l = 0; l < chain->layers; l++)
      chain->layer[l].step(chain->layer[l].stream, chain->number);
    memcpy(to + step * bytes, output[chain->number & 1], bytes);
    chain->number++;
  }
}
