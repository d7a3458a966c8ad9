#include "provider/process_ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/log.h"

namespace escala {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxTokenBytes = 64;
constexpr size_t kMaxNoteBytes = 1024;  // of a detail

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '%' || c == 0x7f)
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Error failed(const std::string& path) {
  return {ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
}

Status sync_path(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return failed(path);
  const bool ok = ::fsync(fd) == 0;
  const Error error = failed(path);
  ::close(fd);
  if (!ok) return error;
  return ok_status();
}

Status write_whole(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed(fresh);
  errno = ENOSPC;  // what a short write means
  const bool ok = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const Error error = failed(fresh);
  ::close(fd);
  if (!ok) return error;
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed(path);
  return ok_status();
}

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

template <typename T>
bool read_number(std::string_view text, T& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size();
}

std::string to_text(const LaunchEntry& entry) {
  std::string text = fmt::format(
      "format 1\ntoken {}\ncluster {}\ngroup {}\nzone {}\ntype {}\nlaunched_at {}\nservice_port {}\nagent {}\n"
      "stop_grace {}\n",
      entry.owner.token, escape(entry.owner.cluster), escape(entry.owner.group.str()), escape(entry.zone.str()),
      escape(entry.instance_type), entry.launched_at.time_since_epoch().count(), entry.service_port,
      entry.agent ? 1 : 0, entry.stop_grace.count());
  for (const std::string& warning : entry.warnings) text += "warning " + escape(warning) + "\n";
  for (const std::string& address : entry.addresses) text += "address " + escape(address) + "\n";
  return text + "end\n";
}

bool read_line(LaunchEntry& entry, const std::string& name, const std::string& value) {
  int64_t us = 0;
  int flag = 0;
  if (name == "format") return value == "1";
  if (name == "token") entry.owner.token = Token(value);
  if (name == "cluster") entry.owner.cluster = value;
  if (name == "group") entry.owner.group = GroupName(value);
  if (name == "zone") entry.zone = ZoneName(value);
  if (name == "type") entry.instance_type = value;
  if (name == "service_port") return read_number(value, entry.service_port);
  if (name == "warning") entry.warnings.push_back(value);
  if (name == "address") entry.addresses.push_back(value);
  if (name == "launched_at" || name == "stop_grace") {
    if (!read_number(value, us)) return false;
    if (name == "launched_at")
      entry.launched_at = TimePoint{Duration{us}};
    else
      entry.stop_grace = Duration{us};
  }
  if (name == "agent") {
    if (!read_number(value, flag)) return false;
    entry.agent = flag != 0;
  }
  return true;
}

}  // namespace

bool valid_token(const Token& token) {
  const std::string& text = token.str();
  return !text.empty() && text.size() <= kMaxTokenBytes && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

std::string ProcessLedger::directory(const Token& token, size_t index) const {
  return fmt::format("{}/{}/{}", root_, token, index);
}

Result<LaunchEntry> ProcessLedger::read(const std::string& path) const {
  std::ifstream file(path + "/launch");
  LaunchEntry entry;
  bool whole = false;
  for (std::string line; !whole && std::getline(file, line);) {
    if (line == "end") {
      whole = true;
      break;
    }
    const size_t blank = line.find(' ');
    if (blank == std::string::npos || !read_line(entry, line.substr(0, blank), unescape(line.substr(blank + 1))))
      return Error{ErrorKind::Invalid, fmt::format("{}/launch: the line '{}' cannot be read", path, printable(line))};
  }
  if (!whole || entry.addresses.empty() || entry.owner.token.str() != fs::path(path).filename())
    return Error{ErrorKind::Invalid, fmt::format("{}/launch is not whole", path)};
  return entry;
}

Result<std::vector<LaunchEntry>> ProcessLedger::load() {
  std::error_code error;
  if (::mkdir(root_.c_str(), 0700) != 0 && errno != EEXIST) return failed(root_);
  std::vector<LaunchEntry> out;
  for (const fs::directory_entry& found : fs::directory_iterator(root_, error)) {
    const std::string name = found.path().filename();
    if (name.starts_with(".new-") || name.starts_with(".gone-")) {
      std::error_code ignored;
      fs::remove_all(found.path(), ignored);
      continue;
    }
    auto entry = read(found.path());
    // Not removed: a process we cannot name any more may live in it.
    if (entry.ok())
      out.push_back(std::move(entry).value());
    else
      log_error("provider", "{}; its instances are not known any more", entry.error().message);
  }
  if (error) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", root_, error.message())};
  std::sort(out.begin(), out.end(),
            [](const LaunchEntry& a, const LaunchEntry& b) { return a.owner.token < b.owner.token; });
  return out;
}

Status ProcessLedger::add(const LaunchEntry& entry) {
  const std::string fresh = fmt::format("{}/.new-{}", root_, entry.owner.token);
  const std::string path = fmt::format("{}/{}", root_, entry.owner.token);
  std::error_code ignored;
  fs::remove_all(fresh, ignored);
  if (::mkdir(fresh.c_str(), 0700) != 0) return failed(fresh);
  for (size_t i = 0; i < entry.addresses.size(); ++i) {
    const std::string instance = fmt::format("{}/{}", fresh, i);
    if (::mkdir(instance.c_str(), 0700) != 0 || ::mkdir((instance + "/work").c_str(), 0700) != 0)
      return failed(instance);
  }
  ESCALA_TRY(write_whole(fresh + "/launch", to_text(entry)));
  ESCALA_TRY(sync_path(fresh, O_RDONLY | O_DIRECTORY));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed(path);
  return sync_path(root_, O_RDONLY | O_DIRECTORY);
}

// Renamed first: half removed it would look like a launch whose instances never started.
void ProcessLedger::remove(const Token& token) {
  const std::string path = fmt::format("{}/{}", root_, token);
  const std::string gone = fmt::format("{}/.gone-{}", root_, token);
  std::error_code ignored;
  fs::rename(path, gone, ignored);
  fs::remove_all(gone, ignored);
}

std::optional<ProcessKey> ProcessLedger::process(const Token& token, size_t index) const {
  std::ifstream file(directory(token, index) + "/pid");
  ProcessKey key;
  if (!(file >> key.pid >> key.start_ticks >> key.boot_id)) return std::nullopt;
  return key;
}

bool ProcessLedger::stop_asked(const Token& token, size_t index) const {
  return ::access((directory(token, index) + "/stop").c_str(), F_OK) == 0;
}
Status ProcessLedger::ask_stop(const Token& token, size_t index) {
  return write_whole(directory(token, index) + "/stop", "\n");
}

std::optional<GoneNote> ProcessLedger::gone(const Token& token, size_t index) const {
  const auto line = first_line(directory(token, index) + "/gone");
  if (!line) return std::nullopt;
  const size_t blank = line->find(' ');
  int64_t us = 0;
  if (!read_number(std::string_view(*line).substr(0, blank), us)) return std::nullopt;
  return GoneNote{TimePoint{Duration{us}}, blank == std::string::npos ? "" : unescape(line->substr(blank + 1))};
}
void ProcessLedger::note_gone(const Token& token, size_t index, const GoneNote& note) {
  const std::string text =
      fmt::format("{} {}\n", note.at.time_since_epoch().count(), escape(note.detail.substr(0, kMaxNoteBytes)));
  // Not there after a crash: it is found dead again.
  if (const Status status = write_whole(directory(token, index) + "/gone", text); !status.ok())
    log_warning("provider", "{}", status.error().message);
}

}  // namespace escala
