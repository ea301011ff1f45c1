// Packed weights that are kept from call to call. Whether the weights are still the same is
// told by a sum over all of their bits: a pointer or a version counter would miss what is
// written through `tensor.data`, and a stale weight is a wrong result.

#include <sys/mman.h>

static constexpr size_t LARGE_PAGE = 1 << 21;

INLINE void prefer_large_pages(void* memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

// Two running sums, the second of the first, so that the order counts as well.
struct Digest {
  typedef uint64_t Words __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(Real))));
  typedef uint32_t Halves __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(Real))));
  Words sum = {}, sums = {};

  bool operator==(const Digest& other) const { return !memcmp(this, &other, sizeof(Digest)); }
  bool operator!=(const Digest& other) const { return !(*this == other); }

  void add(const Real* from, Int numbers) {
    for (; numbers >= LANES; from += LANES, numbers -= LANES) add(*(const Halves*)from);
    if (numbers <= 0) return;
    Real rest[LANES] = {};
    memcpy(rest, from, numbers * sizeof(Real));
    add(*(const Halves*)rest);
  }
  // Numbers that people write, as 1, 3 and 0.5, differ in the few bits of their upper end. Plain
  // sums would take some of them for others in another order: such bits have to be spread first.
  ALWAYS_INLINE void add(Halves bits) {
    sum += (Words)((bits << 16 | bits >> 16) * 0x85ebca77u) ^ sums;
    sums = (sums << 23 | sums >> 41) + sum;
  }
};

struct KeptPanels {
  std::vector<Int> layout;  // everything that decides what lies where
  std::vector<Digest> digests;  // of the weights that are packed here, a piece each
  Real* memory;
  size_t bytes;
  std::atomic<bool> used;   // by a call that runs now
};

static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;
static std::vector<KeptPanels*> kept_panels;         // the last one was used last
static constexpr size_t MOST_KEPT = (size_t)256 << 20;  // bytes in all

static void drop_oldest(size_t wanted) {
  size_t total = wanted;
  for (KeptPanels* one : kept_panels) total += one->bytes;
  for (size_t n = 0; n < kept_panels.size() && total > MOST_KEPT;) {
    KeptPanels* one = kept_panels[n];
    if (one->used) {
      n++;
      continue;
    }
    total -= one->bytes;
    free(one->memory);
    delete one;
    kept_panels.erase(kept_panels.begin() + n);
  }
}

static KeptPanels* known_or_new_panels(const std::vector<Int>& layout, size_t bytes) {
  for (size_t n = kept_panels.size(); n-- > 0;) {
    KeptPanels* one = kept_panels[n];
    if (one->used || one->layout != layout) continue;
    kept_panels.erase(kept_panels.begin() + n);
    kept_panels.push_back(one);
    one->used = true;
    return one;
  }
  drop_oldest(bytes);
  // In large pages, as an arena is: a step reads all panels, and a stream ends at every page.
  size_t page = bytes < LARGE_PAGE / 2 ? 64 : LARGE_PAGE;
  bytes = (bytes + page - 1) / page * page;
  void* memory = nullptr;
  if (posix_memalign(&memory, page, bytes ? bytes : page)) return nullptr;
  if (page == LARGE_PAGE) prefer_large_pages(memory, bytes);
  KeptPanels* fresh = new KeptPanels{layout, {}, (Real*)memory, bytes, {true}};
  kept_panels.push_back(fresh);
  return fresh;
}

// Room for panels of this layout that no other call uses; null where there should be none.
static KeptPanels* borrow_panels(const std::vector<Int>& layout, size_t bytes) {
  if (bytes > MOST_KEPT / 4) return nullptr;
  // Whoever holds the lock may have been left behind by a fork: do not wait for it.
  if (pthread_mutex_trylock(&kept_mutex)) return nullptr;
  KeptPanels* found = known_or_new_panels(layout, bytes);
  pthread_mutex_unlock(&kept_mutex);
  return found;
}

static void return_panels(KeptPanels* panels) { panels->used.store(false); }
