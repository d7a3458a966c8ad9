// One region of the board: a file mapped into memory, made or taken over by its one writer, checked as hostile input by
// its readers. What is in the cells is the business of roster.cpp and readings.cpp.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "board/guard.h"
#include "board/layout.h"

namespace escala::board {

// Threads: a writer has one owner; readers may share one region (nothing here changes after opening).
class Region {
 public:
  // Maps an existing file for reading. NotFound: no such file. Denied: a link, another owner, a mode that lets others
  // in. Invalid: not this kind, layout, size or boot. All messages begin with "shared table PATH".
  static Result<std::unique_ptr<Region>> read(const std::string& path, uint64_t magic);
  // Takes over a file of the same shape (its cells stay), or makes a new one in place of whatever else stands there.
  // Conflict: another live process writes it (it holds a lock on the file, which dies with it). Denied as above.
  // Unavailable: no space, no permission.
  static Result<std::unique_ptr<Region>> write(const std::string& path, const Shape& shape);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  const Shape& shape() const { return shape_; }  // checked
  const std::string& path() const { return path_; }
  bool taken_over() const { return taken_over_; }
  // False: unlinked, replaced or cut since it was opened.
  bool current() const;

  Header& header() { return *reinterpret_cast<Header*>(base_); }
  const Header& header() const { return *reinterpret_cast<const Header*>(base_); }
  // The cell at an index that the caller has compared with shape().
  template <typename C>
  C& slot(uint32_t index) {
    return *reinterpret_cast<C*>(base_ + shape_.slots_at() + size_t{index} * sizeof(C));
  }
  template <typename C>
  const C& slot(uint32_t index) const {
    return *reinterpret_cast<const C*>(base_ + shape_.slots_at() + size_t{index} * sizeof(C));
  }
  template <typename C>
  C& second(uint32_t index) {
    return *reinterpret_cast<C*>(base_ + shape_.seconds_at() + size_t{index} * sizeof(C));
  }
  template <typename C>
  const C& second(uint32_t index) const {
    return *reinterpret_cast<const C*>(base_ + shape_.seconds_at() + size_t{index} * sizeof(C));
  }

  // The writer's helpers. Memory of a region is taken from the machine as it is needed; these ask before the first
  // touch, because touching what a full /dev/shm cannot give would be a bus error. False: no space; told once.
  bool reserve_slot(uint32_t index);
  bool reserve_second(uint32_t index);
  void beat(int64_t boot_us);
  // One more version, for readers that compare; wakes those who wait.
  void changed();
  void wake();

 private:
  Region(std::string path, Descriptor file, const Shape& shape)
      : path_(std::move(path)), file_(std::move(file)), shape_(shape) {}
  Status map(bool writable);
  bool reserve(size_t first, size_t end, size_t& reserved, size_t limit);
  void begin_epoch();

  std::string path_;
  Descriptor file_;
  Shape shape_;
  std::byte* base_ = nullptr;
  std::unique_ptr<Guard> guard_;
  bool taken_over_ = false;
  bool told_full_ = false;
  size_t slots_reserved_ = 0;  // ends of what was asked for, as offsets in the file
  size_t seconds_reserved_ = 0;
};

}  // namespace escala::board
