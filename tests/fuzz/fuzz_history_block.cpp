// Rows of the metric history, damaged or made up: unreadable, or a block that packs and unpacks to itself.
#include "history/block.h"

#include <zlib.h>

#include <cmath>

#include "fuzz.h"

namespace escala::fuzz {
namespace {

using namespace history;

Seeds seeds() {
  Block block(3);
  block[0].set = StatisticSet::of(5);
  block[0].sketch[100] = 1;
  block[1].place = 7;
  block[1].set = {10, 50, 1, 9};
  block[1].sketch = {{-100, 3}, {0, 5}, {200'000, 2}};
  block[2].place = 59;
  block[2].sketched = false;
  const std::string row = pack(block);
  std::string plain(1 << 12, '\0');
  uLongf size = plain.size();
  uncompress(reinterpret_cast<Bytef*>(plain.data()), &size, reinterpret_cast<const Bytef*>(row.data() + 5),
             row.size() - 5);
  return {'\1' + row, '\0' + plain.substr(0, size), '\0' + std::string(1, '\0')};
}

void fuzz_one(Input input) {
  std::string row;
  if (input.byte() % 2 == 0) {  // what is within, so that the compression hides nothing
    const std::string_view plain = input.rest();
    row.assign(5 + compressBound(plain.size()), '\1');
    for (unsigned i = 0; i < 4; ++i) row[1 + i] = static_cast<char>(plain.size() >> (8 * i));
    uLongf size = row.size() - 5;
    compress2(reinterpret_cast<Bytef*>(row.data() + 5), &size, reinterpret_cast<const Bytef*>(plain.data()),
              plain.size(), 1);
    row.resize(5 + size);
  } else {
    row = input.rest();
  }
  const std::optional<Block> block = unpack(row);
  if (!block) return;
  HOLDS(block->size() <= kPlaces);
  int before = -1;
  for (const Point& point : *block) {
    HOLDS(point.place > before && point.place < kPlaces);
    before = point.place;
    HOLDS(point.sketch.size() <= kMaxSketchInBlock && point.set.count >= 0);
    for (const double value : {point.set.sum, point.set.minimum, point.set.maximum}) HOLDS(std::isfinite(value));
  }
  const std::optional<Block> again = unpack(pack(*block));
  HOLDS(again && again->size() == block->size());
  for (size_t i = 0; i < block->size(); ++i) {
    const Point &a = (*block)[i], &b = (*again)[i];
    HOLDS(a.place == b.place && a.set == b.set && a.sketch == b.sketch && a.sketched == b.sketched);
  }
  Block joined = *block;
  join(joined, *again);
  const Point sum = sum_of(joined);
  for (const char* statistic : {"Average", "p50", "p99.9", "SampleCount", "Maximum"})
    statistic_of({TimePoint{}, sum.set, sum.sketch, sum.sketched}, statistic);
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
