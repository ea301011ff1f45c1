// GFLOP/s of fused multiply-adds on registers alone, by so many threads at the same time.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#if defined(__AVX512F__)
constexpr int bytes = 64;
#elif defined(__AVX__)
constexpr int bytes = 32;
#else
constexpr int bytes = 16;
#endif
typedef float Vector __attribute__((vector_size(bytes)));
constexpr int lanes = bytes / sizeof(float);
// Two pipes with four or five cycles of latency need ten chains; more would spill on AVX2.
constexpr int chains = 12;

static float work(float start, long steps) {
  Vector sums[chains], a = Vector{} + start, b = Vector{} + 0.5f;
  for (int k = 0; k < chains; ++k) sums[k] = Vector{} + float(k);
  // Rounding forbids the compiler to shorten this, as long as it keeps to IEEE.
  for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int k = 0; k < chains; ++k) sums[k] = sums[k] * b + a;
  }
  Vector total{};
  for (int k = 0; k < chains; ++k) total += sums[k];
  return total[0];
}

// Each on a core of its own: two that take turns on one would both find it fast.
static void take_core(int thread) {
#if defined(__linux__)
  cpu_set_t allowed, one;
  CPU_ZERO(&allowed);
  CPU_ZERO(&one);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed) && thread-- == 0) CPU_SET(core, &one);
  if (CPU_COUNT(&one)) pthread_setaffinity_np(pthread_self(), sizeof one, &one);
#else
  (void)thread;
#endif
}

extern "C" double fma_rate(int threads, long steps) {
  typedef std::chrono::steady_clock Clock;
  std::atomic<int> waiting{threads};
  std::vector<Clock::time_point> starts(threads), ends(threads);
  std::vector<float> kept(threads);
  const auto turn = [&](int thread) {
    take_core(thread);
    // A thread may take as long to start as it works, so none begins before all are there.
    waiting.fetch_sub(1);
    while (waiting.load() > 0) std::this_thread::yield();
    starts[thread] = Clock::now();
    kept[thread] = work(1.0f + thread, steps);
    ends[thread] = Clock::now();
  };
  std::vector<std::thread> all;
  for (int thread = 0; thread < threads; ++thread) all.emplace_back(turn, thread);
  for (auto &one : all) one.join();
  const std::chrono::duration<double> took = *std::max_element(ends.begin(), ends.end()) -
                                             *std::min_element(starts.begin(), starts.end());
  return 2.0 * lanes * chains * steps * threads / took.count() / 1e9;
}
