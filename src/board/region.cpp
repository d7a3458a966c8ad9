#include "board/region.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/log.h"

namespace escala::board {
namespace {

constexpr int kOpenAttempts = 20;          // each lost to another writer that came or went at that moment
constexpr size_t kReserveStep = 64 << 10;  // bytes of memory asked for at a time
constexpr std::string_view kDraftSuffix = ".new";

Error told(ErrorKind kind, const std::string& path, std::string_view reason) {
  return {kind, fmt::format("shared table {}: {}", path, reason)};
}
Error os_error(const std::string& path, std::string_view what) {
  const int error = errno;
  const ErrorKind kind = error == ENOENT                                       ? ErrorKind::NotFound
                         : error == EACCES || error == EPERM || error == ELOOP ? ErrorKind::Denied
                                                                               : ErrorKind::Unavailable;
  return told(kind, path, error == ELOOP ? "is a symbolic link" : fmt::format("{}: {}", what, std::strerror(error)));
}

// A number for this boot of the machine; 0 where the kernel does not tell.
uint64_t boot_number() {
  static const uint64_t number = [] {
    const Descriptor file{open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)};
    std::array<char, 36> text{};
    uint64_t hash = 0xCBF29CE484222325ull;  // FNV-1a
    if (file.get() < 0 || ::read(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return uint64_t{0};
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
    return hash;
  }();
  return number;
}

int64_t boot_us() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
}

using FixedWords = std::array<uint64_t, 8>;

FixedHeader fixed_header(const Shape& shape) {
  FixedHeader header{shape.magic,
                     kLayoutVersion,
                     kPageBytes,
                     shape.slots,
                     shape.slot_bytes,
                     shape.seconds,
                     shape.second_bytes,
                     shape.file_bytes(),
                     boot_number(),
                     0,
                     0};
  const auto words = std::bit_cast<FixedWords>(header);
  header.check = check_words(std::span(words).first(7), 0);
  return header;
}

// The reason why these bytes are not a region of this kind, or its shape.
Result<Shape> check_header(const FixedWords& words, uint64_t magic, size_t file_bytes, const std::string& path) {
  const auto header = std::bit_cast<FixedHeader>(words);
  const auto bad = [&](const std::string& reason) { return told(ErrorKind::Invalid, path, reason); };
  if (header.magic != magic) return bad("is no table of this kind (wrong magic)");
  if (header.layout_version != kLayoutVersion)
    return bad(fmt::format("layout version {}, expected {}", header.layout_version, kLayoutVersion));
  if (header.check != check_words(std::span(words).first(7), 0)) return bad("header is damaged (wrong check)");
  if (header.slots < 1 || header.slots > kMaxSlots)
    return bad(fmt::format("{} slots, expected 1 to {}", header.slots, kMaxSlots));
  const Shape shape = magic == kRosterMagic ? roster_shape(header.slots) : readings_shape(header.slots);
  if (header.header_bytes != kPageBytes || header.slot_bytes != shape.slot_bytes || header.seconds != shape.seconds ||
      header.second_bytes != shape.second_bytes)
    return bad("sizes do not belong to this layout");
  if (header.file_bytes != shape.file_bytes() || file_bytes != shape.file_bytes())
    return bad(fmt::format("{} bytes, expected {}", file_bytes, shape.file_bytes()));
  if (header.boot != boot_number()) return bad("was made before the machine was started");
  return shape;
}

// Ours, plain, and closed to others.
Status check_file(int fd, const std::string& path, struct stat& state) {
  if (fstat(fd, &state) != 0) return os_error(path, "fstat");
  if (!S_ISREG(state.st_mode)) return told(ErrorKind::Denied, path, "is not a plain file");
  if (state.st_uid != geteuid())
    return told(ErrorKind::Denied, path, fmt::format("belongs to uid {}, expected {}", state.st_uid, geteuid()));
  if ((state.st_mode & 0777) != 0600)
    return told(ErrorKind::Denied, path, fmt::format("mode {:04o}, expected 0600", state.st_mode & 0777));
  return ok_status();
}

Result<Shape> read_shape(int fd, uint64_t magic, const std::string& path) {
  struct stat state {};
  ESCALA_TRY(check_file(fd, path, state));
  FixedWords words{};
  const ssize_t n = pread(fd, words.data(), sizeof words, 0);
  if (n < 0) return os_error(path, "read");
  if (n != sizeof words)
    return told(ErrorKind::Invalid, path, fmt::format("{} bytes, too short for a header", state.st_size));
  return check_header(words, magic, static_cast<size_t>(state.st_size), path);
}

bool same_file(int fd, const std::string& path) {
  struct stat here {
  }, there{};
  return fstat(fd, &here) == 0 && lstat(path.c_str(), &there) == 0 && here.st_dev == there.st_dev &&
         here.st_ino == there.st_ino;
}

enum class Lock : uint8_t { Got, Held, Lost };
// Lost: the name means another file by now; look again.
Lock lock(int fd, const std::string& path) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return Lock::Held;
  return same_file(fd, path) ? Lock::Got : Lock::Lost;
}

// A new file, locked, with a header and no cells, under a name of its own; it gets its real name whole.
Result<std::optional<Descriptor>> make_draft(const std::string& draft, const Shape& shape) {
  Descriptor file{open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (file.get() < 0 && errno == EEXIST) {
    // Left behind by a writer that died here, unless that writer lives and is about to finish.
    const Descriptor old{open(draft.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
    if (old.get() >= 0 && lock(old.get(), draft) == Lock::Got) unlink(draft.c_str());
    if (old.get() < 0 && errno != ENOENT) return os_error(draft, "open");
    return std::optional<Descriptor>{};
  }
  if (file.get() < 0) return os_error(draft, "create");
  const FixedHeader header = fixed_header(shape);
  const bool ready = flock(file.get(), LOCK_EX | LOCK_NB) == 0 && fchmod(file.get(), 0600) == 0 &&
                     ftruncate(file.get(), static_cast<off_t>(shape.file_bytes())) == 0 &&
                     (errno = posix_fallocate(file.get(), 0, kPageBytes)) == 0 &&
                     pwrite(file.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header);
  if (ready) return std::optional<Descriptor>{std::move(file)};
  const Error error = os_error(draft, "make");
  unlink(draft.c_str());
  return error;
}

int rename_new(const std::string& from, const std::string& to, bool replace) {
  if (replace) return rename(from.c_str(), to.c_str());
  // link fails where a file has appeared meanwhile; rename would replace what another writer has just made.
  if (link(from.c_str(), to.c_str()) != 0) return -1;
  return unlink(from.c_str());
}

}  // namespace

Region::~Region() {
  guard_.reset();
  if (base_ != nullptr) munmap(base_, shape_.file_bytes());
}

Status Region::map(bool writable) {
  void* at =
      mmap(nullptr, shape_.file_bytes(), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file_.get(), 0);
  if (at == MAP_FAILED) return os_error(path_, "mmap");
  base_ = static_cast<std::byte*>(at);
  guard_ = std::make_unique<Guard>(at, shape_.file_bytes(), writable);
  if (!guard_->active())
    return told(ErrorKind::Exhausted, path_, fmt::format("{} tables are open already", kMaxGuarded));
  return ok_status();
}

Result<std::unique_ptr<Region>> Region::read(const std::string& path, uint64_t magic) {
  Descriptor file{open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
  if (file.get() < 0) return os_error(path, "open");
  ESCALA_ASSIGN(const Shape shape, read_shape(file.get(), magic, path));
  std::unique_ptr<Region> region(new Region(path, std::move(file), shape));
  ESCALA_TRY(region->map(false));
  return region;
}

Result<std::unique_ptr<Region>> Region::write(const std::string& path, const Shape& shape) {
  const std::string draft = path + std::string(kDraftSuffix);
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    Descriptor old{open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
    if (old.get() < 0 && errno != ENOENT) return os_error(path, "open");
    if (old.get() >= 0) {
      struct stat state {};
      ESCALA_TRY(check_file(old.get(), path, state));
      const Lock got = lock(old.get(), path);
      if (got == Lock::Held) return told(ErrorKind::Conflict, path, "another process writes it");
      if (got == Lock::Lost) continue;
      const Result<Shape> found = read_shape(old.get(), shape.magic, path);
      if (found.ok() && found->slots == shape.slots) {
        std::unique_ptr<Region> region(new Region(path, std::move(old), shape));
        ESCALA_TRY(region->map(true));
        region->taken_over_ = true;
        region->begin_epoch();
        return region;
      }
      log_info("board", "{}; making it anew",
               found.ok() ? fmt::format("shared table {}: {} slots, wanted {}", path, found->slots, shape.slots)
                          : found.error().message);
    }
    ESCALA_ASSIGN(std::optional<Descriptor> made, make_draft(draft, shape));
    if (!made) continue;
    if (rename_new(draft, path, old.get() >= 0) != 0) {
      const int error = errno;
      unlink(draft.c_str());
      if (error == EEXIST) continue;
      errno = error;
      return os_error(path, "rename");
    }
    if (!same_file(made->get(), path)) continue;
    std::unique_ptr<Region> region(new Region(path, std::move(*made), shape));
    ESCALA_TRY(region->map(true));
    region->begin_epoch();
    return region;
  }
  return told(ErrorKind::Conflict, path, "other processes keep making it");
}

void Region::begin_epoch() {
  // Boot time in microseconds grows from one writer to the next, also when a new file replaces an old one.
  Header& head = header();
  const auto now = static_cast<uint64_t>(boot_us());
  head.epoch.store(std::max(now, head.epoch.load(std::memory_order_relaxed) + 1), std::memory_order_release);
  // What stands below `used` was reserved by the writer before us.
  head.used.store(std::min(head.used.load(std::memory_order_relaxed), shape_.slots), std::memory_order_relaxed);
  head.used_seconds.store(std::min(head.used_seconds.load(std::memory_order_relaxed), shape_.seconds),
                          std::memory_order_relaxed);
}

bool Region::current() const {
  struct stat here {};
  return !guard_->hit() && same_file(file_.get(), path_) && fstat(file_.get(), &here) == 0 &&
         static_cast<size_t>(here.st_size) == shape_.file_bytes();
}

bool Region::reserve(size_t first, size_t end, size_t& reserved, size_t limit) {
  if (end <= reserved) return true;
  const size_t from = std::max(first, reserved);
  const size_t to = std::min(limit, std::max(end, from + kReserveStep));
  // Cells need not be used in order; what lies between is asked for too, so that one number tells what is there.
  if (const int error = posix_fallocate(file_.get(), static_cast<off_t>(from), static_cast<off_t>(to - from));
      error != 0) {
    if (!told_full_) log_error("board", "shared table {}: no memory for more slots: {}", path_, std::strerror(error));
    told_full_ = true;
    return false;
  }
  told_full_ = false;
  reserved = to;
  return true;
}

bool Region::reserve_slot(uint32_t index) {
  const size_t at = shape_.slots_at();
  if (!reserve(at, at + (size_t{index} + 1) * shape_.slot_bytes, slots_reserved_, shape_.seconds_at())) return false;
  Header& head = header();
  if (index >= head.used.load(std::memory_order_relaxed)) head.used.store(index + 1, std::memory_order_release);
  return true;
}

bool Region::reserve_second(uint32_t index) {
  const size_t at = shape_.seconds_at();
  if (!reserve(at, at + (size_t{index} + 1) * shape_.second_bytes, seconds_reserved_, shape_.file_bytes()))
    return false;
  Header& head = header();
  if (index >= head.used_seconds.load(std::memory_order_relaxed))
    head.used_seconds.store(index + 1, std::memory_order_release);
  return true;
}

void Region::beat(int64_t now_us) {
  header().beat_us.store(now_us, std::memory_order_release);
}

void Region::changed() {
  std::atomic<uint64_t>& version = header().version;
  version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void Region::wake() {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&header().version), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace escala::board
