#include "history/block.h"

#include <zlib.h>

#include <array>
#include <bit>
#include <cmath>

namespace escala::history {
namespace {

constexpr char kBlockVersion = 1;
constexpr size_t kHead = 5;
constexpr int64_t kFarthest = UINT32_MAX;  // from one bucket of a sketch to the next
constexpr uint8_t kSingle = 1;             // one sample: one number
constexpr uint8_t kNotSketched = 2;        // samples that the sketch does not have
constexpr int kFastest = 1;                // zlib's level

void put_number(std::string& out, uint64_t number) {
  while (number >= 0x80) {
    out += static_cast<char>(number | 0x80);
    number >>= 7U;
  }
  out += static_cast<char>(number);
}

uint64_t zigzag(int64_t number) {
  return (static_cast<uint64_t>(number) << 1U) ^ static_cast<uint64_t>(number >> 63);
}

class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes) {}
  bool good() const { return good_; }
  std::string_view rest() const { return bytes_; }

  uint8_t byte() {
    if (bytes_.empty()) {
      good_ = false;
      return 0;
    }
    const auto out = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return out;
  }
  uint64_t number() {
    uint64_t out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t next = byte();
      out |= static_cast<uint64_t>(next & 0x7FU) << shift;
      if ((next & 0x80U) == 0) return out;
    }
    good_ = false;
    return 0;
  }
  int64_t zigzagged() {
    const uint64_t raw = number();
    return static_cast<int64_t>(raw >> 1U) ^ -static_cast<int64_t>(raw & 1U);
  }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

bool is_single(const StatisticSet& set) {
  return set.count == 1 && set.minimum == set.sum && set.maximum == set.sum;
}

}  // namespace

Point& point_at(Block& block, int place) {
  auto at = block.end();  // samples come in order, nearly always
  while (at != block.begin() && std::prev(at)->place >= place) --at;
  if (at != block.end() && at->place == place) return *at;
  Point fresh;
  fresh.place = place;
  return *block.insert(at, std::move(fresh));
}

void join(Point& point, const StatisticSet& set, const Sketch& sketch, bool sketched) {
  point.set.add(set);
  point.sketched = point.sketched && sketched;
  if (point.sketched)
    join(point.sketch, sketch);
  else
    point.sketch.clear();
}

void join(Block& block, const Block& more) {
  for (const Point& point : more) join(point_at(block, point.place), point.set, point.sketch, point.sketched);
}

Point sum_of(const Block& block) {
  Point sum;
  for (const Point& point : block) join(sum, point.set, point.sketch, point.sketched);
  return sum;
}

std::string pack(const Block& block) {
  std::string plain;
  std::vector<double> numbers;
  put_number(plain, block.size());
  for (const Point& point : block) {
    const bool single = is_single(point.set);
    plain += static_cast<char>(point.place);
    plain += static_cast<char>((single ? kSingle : 0) | (point.sketched ? 0 : kNotSketched));
    numbers.push_back(point.set.sum);
    if (!single) numbers.insert(numbers.end(), {point.set.count, point.set.minimum, point.set.maximum});
    put_number(plain, point.sketch.size());
    int64_t before = 0;
    for (const auto& [bucket, count] : point.sketch) {
      put_number(plain, zigzag(bucket - before));
      put_number(plain, count);
      before = bucket;
    }
  }
  for (unsigned shift = 0; shift < 64; shift += 8)
    for (const double number : numbers) plain += static_cast<char>(std::bit_cast<uint64_t>(number) >> shift);

  std::string out(kHead + compressBound(plain.size()), '\0');
  out[0] = kBlockVersion;
  for (unsigned i = 0; i < 4; ++i) out[1 + i] = static_cast<char>(plain.size() >> (8 * i));
  uLongf size = out.size() - kHead;
  compress2(reinterpret_cast<Bytef*>(out.data() + kHead), &size, reinterpret_cast<const Bytef*>(plain.data()),
            plain.size(), kFastest);
  out.resize(kHead + size);
  return out;
}

std::optional<Block> unpack(std::string_view row) {
  if (row.size() < kHead || row[0] != kBlockVersion) return std::nullopt;
  size_t length = 0;
  for (unsigned i = 0; i < 4; ++i) length |= static_cast<size_t>(static_cast<uint8_t>(row[1 + i])) << (8 * i);
  if (length > kMaxBlockBytes) return std::nullopt;
  std::string plain(length, '\0');
  uLongf size = plain.size();
  if (uncompress(reinterpret_cast<Bytef*>(plain.data()), &size, reinterpret_cast<const Bytef*>(row.data() + kHead),
                 row.size() - kHead) != Z_OK ||
      size != plain.size())
    return std::nullopt;

  Source source(plain);
  Block block;
  const uint64_t points = source.number();
  if (points > kPlaces) return std::nullopt;
  std::vector<bool> single;
  for (uint64_t i = 0; i < points; ++i) {
    Point& point = block.emplace_back();
    point.place = source.byte();
    if (point.place >= kPlaces || (i > 0 && point.place <= block[i - 1].place)) return std::nullopt;
    const uint8_t flags = source.byte();
    single.push_back((flags & kSingle) != 0);
    point.sketched = (flags & kNotSketched) == 0;
    const uint64_t buckets = source.number();
    if (buckets > kMaxSketchInBlock) return std::nullopt;
    int64_t bucket = 0;
    for (uint64_t k = 0; k < buckets && source.good(); ++k) {
      const int64_t step = source.zigzagged();
      if (step < -kFarthest || step > kFarthest) return std::nullopt;
      bucket += step;
      if (bucket < INT32_MIN || bucket > INT32_MAX) return std::nullopt;
      point.sketch[static_cast<int32_t>(bucket)] = static_cast<uint32_t>(source.number());
    }
  }
  size_t count = 0;
  for (const bool one : single) count += one ? 1 : 4;
  const std::string_view bytes = source.rest();
  if (!source.good() || bytes.size() != 8 * count) return std::nullopt;
  size_t next = 0;
  const auto number = [&] {
    uint64_t bits = 0;
    for (size_t k = 0; k < 8; ++k)
      bits |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[k * count + next])) << (8 * k);
    ++next;
    return std::bit_cast<double>(bits);
  };
  for (size_t i = 0; i < block.size(); ++i) {
    StatisticSet& set = block[i].set;
    set.sum = number();
    set.count = single[i] ? 1 : number();
    set.minimum = single[i] ? set.sum : number();
    set.maximum = single[i] ? set.sum : number();
    if (!std::isfinite(set.sum) || !std::isfinite(set.count) || !std::isfinite(set.minimum) ||
        !std::isfinite(set.maximum) || set.count < 0)
      return std::nullopt;
  }
  return block;
}

}  // namespace escala::history
