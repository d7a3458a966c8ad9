#include "store/sqlite_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/lock_file.h"
#include "base/log.h"

namespace escala {

namespace {

Error system_error(const std::string& path) {
  const int code = errno;
  const bool denied = code == EACCES || code == EPERM || code == EROFS;
  return {denied ? ErrorKind::Denied : ErrorKind::Unavailable,
          fmt::format("{}: {}{}", path, std::strerror(code), denied ? fmt::format(" for uid {}", ::geteuid()) : "")};
}

Status check_directory(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return system_error(dir);
  struct stat found {};
  if (::stat(dir.c_str(), &found) != 0) return system_error(dir);
  if (!S_ISDIR(found.st_mode)) return Error{ErrorKind::Invalid, fmt::format("{} is not a directory", dir)};
  if (found.st_uid != ::geteuid())
    return Error{ErrorKind::Denied, fmt::format("state directory {} belongs to uid {}, but this is uid {}", dir,
                                                found.st_uid, ::geteuid())};
  if ((found.st_mode & 022) != 0)
    return Error{ErrorKind::Denied,
                 fmt::format("state directory {} has mode {:04o}: others could write to it; it should be "
                             "0700 (chmod 700 {})",
                             dir, found.st_mode & 07777, dir)};
  struct statfs system {};
  if (::statfs(dir.c_str(), &system) == 0 && system.f_type == NFS_SUPER_MAGIC)
    return Error{
        ErrorKind::Invalid,
        fmt::format("state directory {} is on NFS, where locks and syncs cannot be relied on; use a local disk", dir)};
  return ok_status();
}

}  // namespace

SqliteStore::SqliteStore(std::string path, SqliteStoreOptions options, Descriptor lock)
    : path_(std::move(path)), options_(std::move(options)), lock_(std::move(lock)) {}

SqliteStore::~SqliteStore() {
  db_.reset();  // before the lock
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& dir, SqliteStoreOptions options) {
  ESCALA_TRY(check_directory(dir));
  ESCALA_ASSIGN(Descriptor lock, take_lock_file(dir + "/lock", "state directory " + dir));
  std::unique_ptr<SqliteStore> store(new SqliteStore(dir + "/escala.db", std::move(options), std::move(lock)));
  const std::string& path = store->path_;
  if (::access(path.c_str(), F_OK) != 0) {
    if (errno != ENOENT) return system_error(path);
    if (::access((path + "-wal").c_str(), F_OK) == 0)
      return Error{ErrorKind::Invalid,
                   fmt::format("{} is missing, but its log {}-wal is there; put the file back, or move "
                               "the log away to begin anew",
                               path, path)};
    ESCALA_TRY(SqliteDb::create(path, store->options_.vfs));
  }
  ESCALA_ASSIGN(store->db_, SqliteDb::open(path, store->options_.vfs));
  ESCALA_TRY(store->db_->load(store->image_));
  return store;
}

std::vector<Result<Revision>> SqliteStore::commit(std::span<const Batch> batches) {
  Waiting mine{batches, {}, false};
  std::unique_lock lock(queue_mutex_);
  queue_.push_back(&mine);
  // Whoever finds nobody leading commits for all who wait; with a busy disk that makes one sync of many.
  queue_moved_.wait(lock, [&] { return mine.done || !leading_; });
  if (mine.done) return std::move(mine.answers);
  leading_ = true;
  const std::deque<Waiting*> round = std::exchange(queue_, {});
  lock.unlock();
  commit_all(round);
  lock.lock();
  for (Waiting* waiting : round) waiting->done = true;
  leading_ = false;
  lock.unlock();
  queue_moved_.notify_all();
  return std::move(mine.answers);
}

void SqliteStore::commit_all(const std::deque<Waiting*>& round) {
  StagedCommit staged = image_.begin();
  for (const Waiting* waiting : round) image_.stage(staged, waiting->batches);
  const Status status = staged.accepted == 0 ? ok_status() : write(staged);
  auto answer = staged.answers.begin();
  for (Waiting* waiting : round) {
    for (size_t i = 0; i < waiting->batches.size(); ++i, ++answer)
      waiting->answers.push_back(answer->ok() && !status.ok() ? Result<Revision>(status.error()) : *answer);
  }
  if (staged.accepted == 0) return;
  set_writable(status);
  if (!status.ok()) return;
  std::function<void()> listener;
  {
    const std::unique_lock lock(image_mutex_);
    image_.take_over(std::move(staged));
    listener = listener_;
  }
  if (listener) listener();
}

Status SqliteStore::write(const StagedCommit& staged) {
  if (!db_) ESCALA_TRY(reopen());
  Status status = db_->write(staged);
  if (!status.ok() && db_->damaged()) db_.reset();
  return status;
}

Status SqliteStore::reopen() {
  auto db = SqliteDb::open(path_, options_.vfs);
  StoreImage found;
  Status status;
  if (!db.ok())
    status = db.error();
  else if (status = (*db)->load(found); status.ok())
    status = repair(**db, found);
  // Whatever is wrong with the file: to those who commit, the store cannot be written at this moment.
  if (!status.ok())
    return Error{ErrorKind::Unavailable, fmt::format("state store cannot be written: {}", status.error().message)};
  db_ = std::move(db).value();
  log_warning("store", "{} was opened again and holds all that was acknowledged ({} records)", path_, image_.records());
  return ok_status();
}

// Writes what differs from the image (commits that failed but reached the file, and those that the disk forgot), then
// moves the log into the file, so that no page relies on the sync that failed.
Status SqliteStore::repair(SqliteDb& db, const StoreImage& found) {
  StagedCommit difference = image_.begin();
  difference.durable = true;
  for (const Record& record : found.scan({}, {}, SIZE_MAX))
    if (!image_.get(record.key)) difference.after[record.key] = {std::nullopt, 0};
  for (Record& record : image_.scan({}, {}, SIZE_MAX))
    if (found.get(record.key) != record) difference.after[record.key] = {std::move(record.value), record.version};
  if (!difference.after.empty())
    log_warning("store", "{}: {} records differ from what was acknowledged and are written again", path_,
                difference.after.size());
  if (!difference.after.empty() || found.revision() != image_.revision()) ESCALA_TRY(db.write(difference));
  return db.checkpoint();
}

void SqliteStore::set_writable(Status status) {
  const std::unique_lock lock(image_mutex_);
  if (status.ok() != writable_.ok()) {
    if (status.ok())
      log_info("store", "state store {} can be written again", path_);
    else
      log_error("store", "{}", status.error().message);
  }
  writable_ = std::move(status);
}

Result<std::optional<Record>> SqliteStore::get(std::string_view key) const {
  const std::shared_lock lock(image_mutex_);
  return image_.get(key);
}
Result<std::vector<Record>> SqliteStore::scan(std::string_view prefix, std::string_view after, size_t limit) const {
  const std::shared_lock lock(image_mutex_);
  return image_.scan(prefix, after, limit);
}
Result<size_t> SqliteStore::count(std::string_view prefix) const {
  const std::shared_lock lock(image_mutex_);
  return image_.count(prefix);
}
Result<std::vector<Store::Change>> SqliteStore::changes(std::string_view prefix, Revision since) const {
  const std::shared_lock lock(image_mutex_);
  return image_.changes(prefix, since);
}
Revision SqliteStore::revision() const {
  const std::shared_lock lock(image_mutex_);
  return image_.revision();
}
void SqliteStore::on_commit(std::function<void()> listener) {
  const std::unique_lock lock(image_mutex_);
  listener_ = std::move(listener);
}
Status SqliteStore::writable() const {
  const std::shared_lock lock(image_mutex_);
  return writable_;
}

}  // namespace escala
