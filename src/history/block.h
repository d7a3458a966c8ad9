// A row of the history: the seconds of one minute, or the minutes of one hour, of one metric, packed.
//
// Layout: one byte of version, four of the length of what follows when it is not compressed, then zlib: the number of
// points; of each its place, flags and the length of its sketch; the sketches; then all doubles, byte by byte (the
// first bytes of all, the second bytes of all, ...), which compresses three times as well. Rows are read back as
// hostile input: whatever is wrong with one makes it unreadable, never a crash.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "history/metric.h"

namespace escala::history {

inline constexpr int kPlaces = 60;                     // seconds of a minute, minutes of an hour
inline constexpr size_t kMaxBlockBytes = 1 << 20;      // not compressed
inline constexpr size_t kMaxSketchInBlock = 3 * 2764;  // buckets; both signs and some

struct Point {
  int place = 0;  // 0 to 59
  StatisticSet set;
  Sketch sketch;
  bool sketched = true;  // the sketch has every sample
};
using Block = std::vector<Point>;  // by place, each once

// Adds to the point at this place, made where there is none.
Point& point_at(Block& block, int place);
void join(Point& point, const StatisticSet& set, const Sketch& sketch, bool sketched);
void join(Block& block, const Block& more);
// All points as one.
Point sum_of(const Block& block);

std::string pack(const Block& block);
std::optional<Block> unpack(std::string_view row);

}  // namespace escala::history
