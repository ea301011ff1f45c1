// One step at a time, for ever: weights stay packed, states stay where they are. The state
// before a step and after it lie in two buffers that change their roles at every step, so
// there are two frames, and nothing else is left to do at a step than to compute.

struct Stream {
  const Program& program;
  Int* arguments;
  Call call;
  Run run;
  Arena arena;
  Frame frames[2];
  bool good;

  // `given` is what `Call` reads, with the arrays of even steps; `odd` are those of odd steps,
  // and behind them stands how far apart the rows of each array are, or 0.
  Stream(const Program& p, const Int* given, Int count, const Int* odd)
      : program(p), arguments(copied(given, count)), call(p, arguments), run(p, call) {
    good = arguments && run.prepare(arena);
    if (!good) return;
    run.pack(0, 1);
    for (Int turn = 0; turn < 2; turn++) {
      Frame& f = frames[turn];
      for (Int a = 0; a < p.array_count; a++) {
        bool lent = run.is_ours(p.arrays[a].place) && !call.base[a];
        f.at[a] = lent ? run.base[a] : turn ? (Real*)odd[a] : call.base[a];
        if (odd[p.array_count + a]) run.stride[a] = odd[p.array_count + a];
      }
      f.stride = run.stride, f.sums = nullptr, f.start = call.start, f.sizes = call.sizes;
    }
  }

  ~Stream() { free(arguments); }

  static Int* copied(const Int* given, Int count) {
    Int* copy = (Int*)malloc(count * sizeof(Int));
    if (copy) memcpy(copy, given, count * sizeof(Int));
    return copy;
  }

  void step(Int number) {
    Frame& f = frames[number & 1];
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
