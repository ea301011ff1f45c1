// Threads that work on one call together. They are torch's own OpenMP threads where Python has
// found their entry point: a second pool would fight for the cores with them, because OpenMP's
// threads go on spinning for milliseconds after their work. Where there is none, threads of ours.

// C's own headers: the standard library's threads and clocks take longer to read than all of this.
#include <atomic>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

INLINE void breathe() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

INLINE Int microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (Int)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// Waits until `done()`: at first attentively, for the other side is usually close; then giving
// the core away, because on a busy machine the other side may need it to get there; then asleep;
// and no longer than `patience`. Returns about how many microseconds that took.
template <class Done>
INLINE Int wait_until(Done done, Int patience = INT64_MAX) {
  for (int spin = 0; spin < 256; spin++) {
    if (done()) return 0;
    breathe();
  }
  Int start = microseconds(), waited = 0;
  while (!done() && waited < patience) {
    if (waited < 100) sched_yield();
    else usleep(50);
    waited = microseconds() - start;
  }
  return waited;
}

// Whether somebody else is on our cores, in which case threads wait for each other. It decides who
// does what, and not a bit of the result.
struct Company {
  // One wait that is longer than this, and than the work before it, may be an accident; two, one
  // soon after the other, are company: for a while threads do not meet at every step.
  static constexpr Int LONG_WAIT = 500, SOON = 250000, FOR_A_WHILE = 50000;
  // The first wait is for threads that sleep, as they do after a pause of their own choice: to wake
  // one on a virtual machine takes up to a millisecond.
  static constexpr Int LONG_WAY = 4000;
  static std::atomic<Int> until, last;

  static bool here(Int now) { return now < until.load(std::memory_order_relaxed); }
  static void kept_us_waiting(Int now) {
    if (now - last.exchange(now, std::memory_order_relaxed) < SOON) until = now + FOR_A_WHILE;
  }

  // Where threads waited longer than they worked, of late, one alone is faster: it does for a while
  // what is soon done, and then they try again.
  static constexpr Int OF_LATE = 100000, TRIAL = 5000;
  static std::atomic<double> waited, worked;  // microseconds, the longer ago the less
  static std::atomic<Int> ended, tried, alone_until;

  static bool is_better_alone(Int now) { return now < alone_until.load(std::memory_order_relaxed); }
  static void shared(Int start, Int now, Int wait, Int threads) {
    if (threads < 2) return;
    Int passed = now - ended.exchange(now);
    double kept = OF_LATE / double(OF_LATE + (passed < 0 ? 0 : passed));
    waited = waited * kept + wait, worked = worked * kept + (now - start - wait);
    if ((tried += now - start) < TRIAL) return;
    tried = 0;
    if (waited > worked * (threads - 1)) alone_until = now + FOR_A_WHILE;
  }
};
std::atomic<Int> Company::until{0}, Company::last{-Company::SOON};
std::atomic<double> Company::waited{0}, Company::worked{0};
std::atomic<Int> Company::ended{0}, Company::tried{0}, Company::alone_until{0};

struct Member {  // of a team: one of its threads
  Int id;
  Int since = 0;             // when it last found the others there
  Int waited = 0;            // for them, in all
  bool has_met = false;      // them, at all
  Int shares = 0, goal = 0;  // shared works that it has been through, and pieces of all of them
};

// What is written at every meeting lies in lines of its own: in a line that the others read all
// the time, each meeting would cost them a trip to the other core.
struct Team {
  std::atomic<Int> threads{1};
  std::atomic<Int> joined{0}, arrived{0};
  std::atomic<Int> first_left{0}, first_waited{0};  // when the first thread left, and its waits
  std::atomic<bool> slow{false}, parted{false};
  static constexpr Int MOST_PLACES = 64;
  std::atomic<int> places[MOST_PLACES];  // on which core each thread is, when it arrives
  Int start = microseconds();
  bool crowded = Company::here(start);
  std::atomic<Int>* claims = nullptr;  // of each piece: the last shared work in which it was taken
  alignas(64) std::atomic<Int> waiting{0};
  alignas(64) std::atomic<Int> turn{0};
  alignas(64) std::atomic<Int> done{0};  // pieces of all shared works so far
  alignas(64) char apart = 0;

  Team() {
    for (std::atomic<int>& place : places) place.store(-1, std::memory_order_relaxed);
  }

  // Microseconds for which those that come first wait: who slept comes later, and takes what is left.
  static constexpr Int PATIENCE = 100;

  // Linux may wake a thread on the core of the one that wakes it, and where it does not know that
  // cores share a cache, as in some virtual machines, it leaves both there for ten milliseconds,
  // although another core is idle. So the others are given a moment to run, and move away.
  void gather(Member& me) {
#ifdef __linux__
    if (me.id < MOST_PLACES) places[me.id].store(sched_getcpu(), std::memory_order_relaxed);
    arrived.fetch_add(1, std::memory_order_acq_rel);
    if (!crowded)
      wait_until([&] { return arrived.load(std::memory_order_acquire) >= threads; }, PATIENCE);
    me.since = microseconds();
    if (me.id < MOST_PLACES) move_away(me.id);
#else
    me.since = microseconds();
#endif
  }

#ifdef __linux__
  void move_away(Int id) {
    bool taken = false;
    int here = places[id].load(std::memory_order_relaxed);
    for (Int n = 0; n < id; n++) taken |= places[n].load(std::memory_order_relaxed) == here;
    cpu_set_t before;
    if (!taken || sched_getaffinity(0, sizeof before, &before)) return;
    cpu_set_t others = before;
    for (Int n = 0; n < id; n++) {
      int place = places[n].load(std::memory_order_relaxed);
      if (place >= 0 && place < CPU_SETSIZE) CPU_CLR(place, &others);
    }
    if (!CPU_COUNT(&others)) return;
    sched_setaffinity(0, sizeof others, &others);
    sched_setaffinity(0, sizeof before, &before);
  }
#endif

  // Work that is shared: `body(piece)` for each of so many pieces, by whoever comes first, and all
  // are done when this returns. A thread takes its own ones, for which its caches are warm, and
  // then what others have not begun: nobody waits for a thread that has no core to run on.
  template <class Body>
  void share(Member& me, Int pieces, Body body) {
    Int members = threads.load(std::memory_order_relaxed);
    if (members == 1) {
      for (Int piece = 0; piece < pieces; piece++) body(piece);
      return;
    }
    Int number = ++me.shares, goal = me.goal += pieces;
    Int first = pieces * me.id / members, own = pieces * (me.id + 1) / members - first;
    for (Int n = 0; n < pieces; n++) {
      // The others' from their ends, where they come last.
      Int piece = n < own ? first + n : (first - 1 - (n - own) + pieces) % pieces;
      Int seen = claims[piece].load(std::memory_order_relaxed);
      if (seen >= number || !claims[piece].compare_exchange_strong(seen, number)) continue;
      body(piece);
      done.fetch_add(1, std::memory_order_acq_rel);
    }
    waited(me, wait_until([&] { return done.load(std::memory_order_acquire) >= goal; }));
  }

  // All threads reach this point before any goes on. After a long wait they part for the work
  // in which they would meet at every step; all learn of it at the same meeting.
  void meet(Member& me) {
    if (threads.load(std::memory_order_relaxed) == 1) return;
    Int now = turn.load(std::memory_order_relaxed);
    if (waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      if (slow.load(std::memory_order_relaxed)) parted.store(true, std::memory_order_relaxed);
      waiting.store(0, std::memory_order_relaxed);
      turn.store(now + 1, std::memory_order_release);
      me.since = microseconds();
    } else {
      waited(me, wait_until([&] { return turn.load(std::memory_order_acquire) != now; }));
    }
  }

  void waited(Member& me, Int waited) {
    Int now = microseconds();
    me.waited += waited;
    Int limit = me.has_met ? Company::LONG_WAIT : Company::LONG_WAY;
    me.has_met = true;
    if (waited > limit && waited > now - waited - me.since) {
      slow.store(true, std::memory_order_relaxed);
      Company::kept_us_waiting(now);
    }
    me.since = now;
  }

  // The last that a thread does. What one has to do alone falls to the first, so only its waits are
  // for others that are late; OpenMP itself then waits for those that did not come to their share.
  void leave(const Member& me) {
    if (me.id) return;
    first_waited.store(me.waited, std::memory_order_relaxed);
    first_left.store(microseconds(), std::memory_order_release);
  }
  void all_have_left(Int now) const {
    Int left = first_left.load(std::memory_order_acquire), end = now - left;
    if (!left) return;  // it was not asked to tell
    if (end > Company::LONG_WAY && end > left - start) Company::kept_us_waiting(now);
    Company::shared(start, now, first_waited + end, threads);
  }
};

typedef void (*Work)(void*);

// What Python has found in torch's own OpenMP, or nothing.
struct OpenMP {
  void (*parallel)(Work, void*, unsigned, unsigned);  // GOMP_parallel
  int (*threads)();                                   // omp_get_num_threads
};

// Threads of ours, for machines whose torch has no OpenMP that we can call, and for a process
// that was forked: OpenMP's threads do not survive a fork.
struct Pool {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  Work work = nullptr;
  void* data = nullptr;
  std::atomic<Int> pending{0};
  Int generation = 0, wanted = 0, alive = 0;
  std::atomic<bool> taken{false};
  pid_t owner = 0;

  struct Server {
    Pool* pool;
    Int number, seen;
  };

  static void* serve(void* given) {
    Server me = *(Server*)given;
    delete (Server*)given;
    Pool& pool = *me.pool;
    for (;;) {
      pthread_mutex_lock(&pool.mutex);
      while (pool.generation == me.seen) pthread_cond_wait(&pool.wake, &pool.mutex);
      me.seen = pool.generation;
      Work mine = me.number <= pool.wanted ? pool.work : nullptr;
      void* data = pool.data;
      pthread_mutex_unlock(&pool.mutex);
      if (mine) {
        mine(data);
        pool.pending.fetch_sub(1, std::memory_order_acq_rel);
      }
    }
  }

  // Whether there is one thread more.
  bool grow() {
    pthread_t thread;
    Server* server = new (std::nothrow) Server{this, alive + 1, generation};
    if (!server || pthread_create(&thread, nullptr, serve, server)) {
      delete server;
      return false;
    }
    pthread_detach(thread);
    alive++;
    return true;
  }

  // `count` is how many are to work; it becomes how many there are.
  void run(Work task, void* given, std::atomic<Int>& count) {
    pthread_mutex_lock(&mutex);
    while (alive < count - 1 && grow()) {
    }
    if (alive < count - 1) count = alive + 1;
    work = task;
    data = given;
    wanted = count - 1;
    pending.store(wanted, std::memory_order_release);
    generation++;
    pthread_mutex_unlock(&mutex);
    pthread_cond_broadcast(&wake);
    task(given);
    wait_until([&] { return pending.load(std::memory_order_acquire) == 0; });
  }
};

// One caller at a time has the pool; others that come meanwhile work alone. Never destroyed:
// its threads sleep until the process ends. After a fork a new one takes its place.
static Pool* pool_of_this_process() {
  static std::atomic<Pool*> pool{nullptr};
  Pool* found = pool.load();
  while (!found || found->owner != getpid()) {
    Pool* fresh = new Pool;
    fresh->owner = getpid();
    if (pool.compare_exchange_strong(found, fresh)) return fresh;
    delete fresh;
  }
  return found;
}

// Runs `work(data)` in several threads, which read in `team.threads` how many they are.
static void run_together(const OpenMP& openmp, Team& team, Work work, void* data, Int threads) {
  team.threads = threads;
  if (threads > 1 && openmp.parallel) {
    openmp.parallel(work, data, (unsigned)threads, 0);
    team.all_have_left(microseconds());
    return;
  }
  Pool* pool = threads > 1 ? pool_of_this_process() : nullptr;
  if (pool && !pool->taken.exchange(true)) {
    pool->run(work, data, team.threads);
    pool->taken.store(false);
    team.all_have_left(microseconds());
  } else {
    team.threads = 1;
    work(data);
  }
}
