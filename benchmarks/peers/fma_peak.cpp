// Prints the GFLOP/s of fused multiply-adds on registers alone: argument 1 is the threads.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

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
constexpr long steps = 4'000'000;

static float work(float start) {
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

int main(int count, char **arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  double best = 0;
  for (int turn = 0; turn < 12; ++turn) {
    std::vector<std::thread> running;
    std::vector<float> kept(threads * 64);
    const auto start = std::chrono::steady_clock::now();
    for (int t = 0; t < threads; ++t)
      running.emplace_back([&kept, t] { kept[t * 64] = work(1.0f + t); });
    for (auto &thread : running) thread.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const double rate = 2.0 * lanes * chains * steps * threads / took.count() / 1e9;
    if (rate > best) best = rate;
  }
  std::printf("%.2f\n", best);
}
