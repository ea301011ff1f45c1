// What the products of all cells are made of: a tile of rows times a panel of weights.

struct Segment {       // a stretch of a product's depth: rows times a panel
  const Real* rows;    // first row of the tile
  Int stride;          // from row to row
  const Real* panel;   // (depth, PANEL)
  Int depth;
  const Real* next;    // at every depth a line is fetched ahead, if rows are not few: from here,
  Int further;         // and so far from one to the next; 0 if there is nothing to fetch
};

static constexpr Int FEW_ROWS = 3;  // too few sums in a tile to hide the latency of an addition

// sums (R, PANEL) = addend (R, PANEL; none is zero) + the segments' products, see multiply.hpp.
typedef void (*Multiply)(const Segment*, Int, const Real*, Int, Real*, Int);

// By the number of rows: the whole panel or its first half.
struct Tiles {
  const Multiply *whole, *half;
};
enum TileKind { PLAIN, TURNED_ROWS, NOTHING_TO_FETCH };

// In tiles of few rows, which have the time of few multiply-adds for it, a fetch costs some 6 %.
static constexpr bool FETCHES_ARE_FREE = TILE_ROWS > 6;
