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
// the core away, because on a busy machine the other side may need it to get there; then asleep.
// Returns about how many microseconds that took.
template <class Done>
INLINE Int wait_until(Done done) {
  for (int spin = 0; spin < 256; spin++) {
    if (done()) return 0;
    breathe();
  }
  Int start = microseconds(), waited = 0;
  while (!done()) {
    if (waited < 100) sched_yield();
    else usleep(50);
    waited = microseconds() - start;
  }
  return waited;
}

// When threads wait for each other longer than this, and longer than they worked, somebody else
// is on their cores. For a while they then do not meet at every step. Who does what, and so
// every bit of the result, does not depend on it.
static constexpr Int LONG_WAIT = 500, CROWDED_FOR = 50000;
// The first meeting has to wait for threads that sleep, as they do after a pause of their own
// choice: to wake one on a virtual machine takes up to a millisecond.
static constexpr Int LONG_WAY = 4000;
static std::atomic<Int> crowded_until{0};
// One long wait may be an accident; two, one soon after the other, are company.
static constexpr Int SOON = 250000;
static std::atomic<Int> last_long_wait{-SOON};

// What is written at every meeting lies in lines of its own: in a line that the others read all
// the time, each meeting would cost them a trip to the other core.
struct Team {
  std::atomic<Int> threads{1};
  std::atomic<Int> joined{0};
  std::atomic<bool> slow{false}, parted{false};
  static constexpr Int MOST_PLACES = 64;
  std::atomic<int> places[MOST_PLACES];  // on which core each thread is, at the first meeting
  bool crowded = microseconds() < crowded_until.load(std::memory_order_relaxed);
  alignas(64) std::atomic<Int> waiting{0};
  alignas(64) std::atomic<Int> turn{0};
  alignas(64) char apart = 0;

  // The first meeting. Linux may wake a thread on the core of the one that wakes it, and where
  // it does not know that cores share a cache, as in some virtual machines, it leaves both there
  // for ten milliseconds, although another core is idle. So the second one moves away.
  void gather(Int id, Int& since) {
#ifdef __linux__
    if (id < MOST_PLACES) places[id].store(sched_getcpu(), std::memory_order_relaxed);
    meet(since, LONG_WAY);
    if (id >= MOST_PLACES) return;
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
#else
    meet(since, LONG_WAY);
#endif
  }

  // All threads reach this point before any goes on. After a long wait they part for the work
  // in which they would meet at every step; all learn of it at the same meeting.
  void meet(Int& since, Int long_wait = LONG_WAIT) {
    if (threads.load(std::memory_order_relaxed) == 1) return;
    Int now = turn.load(std::memory_order_relaxed);
    if (waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      if (slow.load(std::memory_order_relaxed)) parted.store(true, std::memory_order_relaxed);
      waiting.store(0, std::memory_order_relaxed);
      turn.store(now + 1, std::memory_order_release);
    } else {
      Int waited = wait_until([&] { return turn.load(std::memory_order_acquire) != now; });
      if (waited > long_wait && waited > microseconds() - waited - since) {
        Int end = microseconds();
        slow.store(true, std::memory_order_relaxed);
        if (end - last_long_wait.exchange(end, std::memory_order_relaxed) < SOON)
          crowded_until.store(end + CROWDED_FOR, std::memory_order_relaxed);
      }
    }
    since = microseconds();
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

  struct Member {
    Pool* pool;
    Int number, seen;
  };

  static void* serve(void* given) {
    Member me = *(Member*)given;
    delete (Member*)given;
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
    Member* member = new (std::nothrow) Member{this, alive + 1, generation};
    if (!member || pthread_create(&thread, nullptr, serve, member)) {
      delete member;
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
    return;
  }
  Pool* pool = threads > 1 ? pool_of_this_process() : nullptr;
  if (pool && !pool->taken.exchange(true)) {
    pool->run(work, data, team.threads);
    pool->taken.store(false);
  } else {
    team.threads = 1;
    work(data);
  }
}
