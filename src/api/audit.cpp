#include "api/audit.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <utility>

#include "api/json_reader.h"
#include "api/numbers.h"
#include "api/routes.h"
#include "api/sigv4.h"
#include "base/log.h"

namespace escala::api {
namespace {

constexpr std::string_view kBegin = "begin";  // what the first line of all follows

std::string log_path(const std::string& dir, int age) {
  return age == 0 ? dir + "/audit.log" : fmt::format("{}/audit.log.{}", dir, age);
}
std::string head_path(const std::string& dir) {
  return dir + "/audit.head";
}

// Where the chain stands.
struct End {
  uint64_t sequence = 0;
  std::string hash{kBegin};
};

// {"seq":1,...,"prev":"..."} and the hash over it, appended as the last member.
std::string sealed(const std::string& unsealed, std::string& hash) {
  hash = sha256_hex(unsealed);
  return unsealed.substr(0, unsealed.size() - 1) + ",\"hash\":\"" + hash + "\"}";
}

// Checks one line against the chain before it and moves the end on. What is wrong, else empty.
std::string follow(const std::string& line, End& end, bool first) {
  constexpr std::string_view kMark = ",\"hash\":\"";
  const size_t mark = line.rfind(kMark);
  if (mark == std::string::npos || line.size() != mark + kMark.size() + 64 + 2) return "not a line of the audit log";
  const std::string hash = line.substr(mark + kMark.size(), 64);
  if (sha256_hex(line.substr(0, mark) + "}") != hash) return "the line does not have the hash it carries";
  const Result<Node> node = read_json(line);
  const Node* sequence = node ? node->find("seq") : nullptr;
  const Node* before = node ? node->find("prev") : nullptr;
  const Result<int64_t> number = sequence == nullptr ? Error{ErrorKind::Invalid, ""} : parse_integer(sequence->text);
  if (!number || before == nullptr) return "not a line of the audit log";
  // The oldest file that is kept may follow one that is gone.
  if (!first && before->text != end.hash) return "the line does not follow the one before it";
  if (first && *number == 1 && before->text != kBegin) return "the first line follows something";
  if (!first && static_cast<uint64_t>(*number) != end.sequence + 1)
    return fmt::format("line {} follows line {}", *number, end.sequence);
  end = {static_cast<uint64_t>(*number), hash};
  return {};
}

Error cannot(const std::string& path) {
  return {ErrorKind::Unavailable, fmt::format("{}: {}", path, strerror(errno))};
}

struct Walked {
  End end, before_end;
  AuditReport report;
};

Result<Walked> walk(const std::string& dir) {
  Walked walked;
  bool first = true;
  for (int age = kAuditFiles - 1; age >= 0; --age) {
    const std::string path = log_path(dir, age);
    std::ifstream file(path);
    if (!file) {
      if (age > 0 && first) continue;
      if (age == 0 && errno == ENOENT) break;
      if (errno == ENOENT) return Error{ErrorKind::Invalid, path + ": is missing"};
      return cannot(path);
    }
    ++walked.report.files;
    std::string line;
    for (uint64_t number = 1; std::getline(file, line); ++number) {
      const bool cut = file.eof();  // no line feed at its end
      // The very first line follows kBegin; the first that is left after rotations follows something that is gone.
      End next = walked.end;
      if (const std::string wrong = cut ? "the line is cut off" : follow(line, next, first); !wrong.empty())
        return Error{ErrorKind::Invalid, fmt::format("{}:{}: {}", path, number, wrong)};
      first = false;
      ++walked.report.lines;
      walked.before_end = std::exchange(walked.end, next);
    }
  }
  return walked;
}

std::optional<std::string> kept_head(const std::string& dir) {
  std::ifstream file(head_path(dir));
  std::string text;
  if (!file || !std::getline(file, text)) return std::nullopt;
  return text;
}

std::string head_text(const End& end) {
  return fmt::format("{:020} {:<64}", end.sequence, end.hash);
}

class FileAuditLog final : public AuditLog {
 public:
  FileAuditLog(std::string dir, int fd, int head, End end, size_t size)
      : dir_(std::move(dir)), fd_(fd), head_(head), end_(std::move(end)), size_(size) {}
  ~FileAuditLog() override {
    close(fd_);
    close(head_);
  }

  void write(const AuditEntry& entry) override {
    const std::lock_guard lock(mutex_);
    if (size_ >= kMaxAuditFile) rotate();
    const std::string unsealed = fmt::format(
        R"({{"seq":{},"at":"{}","id":{},"who":{},"from":{},"action":{},"parameters":{},"outcome":{},"revision":{},"prev":"{}"}})",
        end_.sequence + 1, iso8601(entry.at), json_quote(entry.request_id), json_quote(entry.who),
        json_quote(entry.from), json_quote(entry.action), json_quote(entry.parameters), json_quote(entry.outcome),
        entry.revision, end_.hash);
    std::string hash;
    const std::string line = sealed(unsealed, hash) + "\n";
    const ssize_t n = ::write(fd_, line.data(), line.size());
    if (n != static_cast<ssize_t>(line.size())) {
      // Half a line would break the chain for good.
      if (n > 0 && ftruncate(fd_, static_cast<off_t>(size_)) != 0)
        log_error("audit", "{}: {}", log_path(dir_, 0), strerror(errno));
      log_error("audit", "cannot write: {}; lost: {} by {}: {}", strerror(errno), entry.action, entry.who,
                entry.outcome);
      return;
    }
    size_ += line.size();
    end_ = {end_.sequence + 1, hash};
    const std::string head = head_text(end_) + "\n";
    if (pwrite(head_, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
      log_error("audit", "{}: {}", head_path(dir_), strerror(errno));
  }

 private:
  void rotate() {
    fsync(fd_);
    for (int age = kAuditFiles - 1; age > 0; --age)
      if (std::rename(log_path(dir_, age - 1).c_str(), log_path(dir_, age).c_str()) != 0 && errno != ENOENT)
        return log_error("audit", "{}: {}", log_path(dir_, age), strerror(errno));
    const int fresh = ::open(log_path(dir_, 0).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fresh < 0) return log_error("audit", "{}: {}", log_path(dir_, 0), strerror(errno));
    close(fd_);
    fd_ = fresh;
    size_ = 0;
  }

  std::mutex mutex_;
  std::string dir_;
  int fd_, head_;
  End end_;
  size_t size_;
};

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& dir, TimePoint now) {
  const Result<Walked> found = walk(dir);
  if (!found && found.error().kind != ErrorKind::Invalid) return found.error();
  // A broken chain stays broken, and is kept; what happens from now on has a chain of its own.
  if (!found)
    for (int age = 0; age < kAuditFiles; ++age)
      std::rename(log_path(dir, age).c_str(), (log_path(dir, age) + ".broken").c_str());
  const Walked walked = found ? *found : Walked{};
  const std::string path = log_path(dir, 0);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return cannot(path);
  const int head = ::open(head_path(dir).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat info {};
  if (head < 0 || fstat(fd, &info) != 0) {
    const Error error = cannot(head_path(dir));
    close(fd);
    return error;
  }
  auto log = std::make_unique<FileAuditLog>(dir, fd, head, walked.end, static_cast<size_t>(info.st_size));
  if (!found) {
    log_error("audit", "{}; the old files are kept as *.broken", found.error().message);
    log->write({.at = now,
                .request_id = {},
                .who = "escala",
                .from = {},
                .action = "ChainBroken",
                .parameters = {},
                .outcome = found.error().message,
                .revision = 0});
  }
  return std::unique_ptr<AuditLog>(std::move(log));
}

Result<AuditReport> verify_audit(const std::string& dir) {
  ESCALA_ASSIGN(const Walked walked, walk(dir));
  const std::optional<std::string> head = kept_head(dir);
  if (walked.report.lines > 0 && !head) return Error{ErrorKind::Invalid, head_path(dir) + ": is missing"};
  // A kill between a line and its head leaves the head one line behind.
  if (head && *head != head_text(walked.end) && *head != head_text(walked.before_end))
    return Error{ErrorKind::Invalid,
                 fmt::format("the log ends with line {}, but {} says otherwise: lines are missing at its end",
                             walked.end.sequence, head_path(dir))};
  return walked.report;
}

}  // namespace escala::api
