// The store on disk under what disks and people do to it: kills, full disks, failing syncs, damaged and foreign files.
#include "store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/faulty_vfs.h"
#include "store/temp_dir.h"

namespace escala {
namespace {

using ::testing::HasSubstr;

class SqliteStoreTest : public ::testing::Test {
 protected:
  TempDir dir_;
  std::string file_ = dir_.path() + "/escala.db";
  Result<std::unique_ptr<SqliteStore>> open(SqliteStoreOptions options = {}) {
    return SqliteStore::open(dir_.path(), std::move(options));
  }
  static Result<Revision> put(Store& store, const std::string& key, const std::string& value) {
    return store.commit(Batch().put(key, value));
  }
  // Runs SQL of the test's own on the closed file, as a person might.
  void tamper(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  void expect_refused(ErrorKind kind, const std::string& why) {
    const auto store = open();
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.error().kind, kind) << store.error().message;
    EXPECT_THAT(store.error().message, HasSubstr(why));
  }
};

TEST_F(SqliteStoreTest, ComesBackWithEverythingAndItsRevision) {
  {
    const auto store = open().value();
    ASSERT_TRUE(put(*store, "a", "1").ok());
    Batch lazy;
    lazy.put("b", "2").durability = Durability::Lazy;
    ASSERT_TRUE(store->commit(lazy).ok());
    ASSERT_TRUE(store->commit(Batch().erase("a")).ok());
  }
  const auto store = open().value();
  EXPECT_EQ(store->revision(), 3U);
  EXPECT_EQ(store->scan("").value(), (std::vector<Record>{{"b", "2", 2}}));
  EXPECT_EQ(store->changes("", 2).error().kind, ErrorKind::Conflict);
}

TEST_F(SqliteStoreTest, KeepsItsFilesToItself) {
  std::filesystem::remove(dir_.path());
  const auto store = open().value();
  ASSERT_TRUE(put(*store, "a", "1").ok());
  const auto mode = [](const std::string& path) {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
  };
  EXPECT_EQ(mode(dir_.path()), 0700U);
  EXPECT_EQ(mode(file_), 0600U);
  EXPECT_EQ(mode(file_ + "-wal"), 0600U);
  EXPECT_EQ(mode(dir_.path() + "/lock"), 0600U);
}

TEST_F(SqliteStoreTest, LetsOneControllerInAndNamesIt) {
  const auto first = open().value();
  expect_refused(ErrorKind::Conflict,
                 "state directory " + dir_.path() + " is locked by pid " + std::to_string(::getpid()));
}

TEST_F(SqliteStoreTest, RefusesDirectoriesOthersCanWriteTo) {
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0777), 0);
  expect_refused(ErrorKind::Denied, "mode 0777");
}

TEST_F(SqliteStoreTest, RefusesForeignNewerAndDamagedFilesAndLeavesThemAlone) {
  std::ofstream(file_)
      << "not a database at all, but long enough to hold a header of one hundred bytes, which it does not .......";
  expect_refused(ErrorKind::Invalid, "not a database");
  std::ofstream(file_, std::ios::trunc).close();
  expect_refused(ErrorKind::Invalid, "the file is empty");
  std::filesystem::remove(file_);
  tamper("CREATE TABLE t(a); PRAGMA application_id=7;");
  expect_refused(ErrorKind::Invalid, "another program");
  std::filesystem::remove(file_);
  open().value().reset();
  tamper("PRAGMA user_version=2;");
  expect_refused(ErrorKind::Invalid, "newer Escala (schema 2");
  tamper("PRAGMA user_version=1; DROP TABLE store;");
  expect_refused(ErrorKind::Invalid, "no such table");
  EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(SqliteStoreTest, RefusesCorruptPages) {
  {
    const auto store = open().value();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(put(*store, "key" + std::to_string(i), std::string(500, 'x')).ok());
  }
  const auto size = std::filesystem::file_size(file_);
  ASSERT_GT(size, 40'000U);
  std::fstream bytes(file_, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(4096);
  bytes << std::string(size - 8192, '\x5a');
  bytes.close();
  expect_refused(ErrorKind::Invalid, "It is left as it is");
  EXPECT_EQ(std::filesystem::file_size(file_), size);
}

TEST_F(SqliteStoreTest, RefusesALogWithoutItsFile) {
  std::ofstream(file_ + "-wal") << "something";
  expect_refused(ErrorKind::Invalid, "is missing, but its log");
}

// A child commits and says each number it was promised; whatever it said before kill -9 must be there.
TEST_F(SqliteStoreTest, HoldsEveryAcknowledgedBatchAfterKills) {
  int next = 0;
  for (int round = 0; round < 8; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto store = SqliteStore::open(dir_.path()).value();
      for (int n = next;; ++n) {
        Batch batch;
        batch.put("n", std::to_string(n)).put("half/" + std::to_string(n), std::string(3000, 'h'));
        batch.durability = n % 3 == 0 ? Durability::Durable : Durability::Lazy;
        if (!store->commit(batch).ok()) ::_exit(1);
        if (::write(pipe_ends[1], &n, sizeof n) != sizeof n) ::_exit(2);
      }
    }
    ::close(pipe_ends[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(15 + 11 * round));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    int promised = next - 1;
    for (int n = 0; ::read(pipe_ends[0], &n, sizeof n) == sizeof n;) promised = n;
    ::close(pipe_ends[0]);
    const auto store = open().value();
    const auto last = store->get("n").value();
    const int found = last ? std::stoi(last->value) : -1;
    ASSERT_GE(found, promised);
    ASSERT_LE(found, promised + 1);  // one may have been committed and not yet said
    EXPECT_EQ(store->scan("half/").value().size(), static_cast<size_t>(found + 1));
    EXPECT_EQ(store->revision(), static_cast<Revision>(found + 1));
    next = found + 1;
  }
  EXPECT_GT(next, 20);
}

// --- disks that fail
// -------------------------------------------------------------------------------------------------------

class FailingDisk : public SqliteStoreTest {
 protected:
  FaultyVfs vfs_;
  std::unique_ptr<SqliteStore> store_ = open({.vfs = FaultyVfs::kName}).value();
};

TEST_F(FailingDisk, KeepsNothingOfABatchWhoseSyncFailedAndRecoversByItself) {
  ASSERT_TRUE(put(*store_, "a", "1").ok());
  vfs_.fail_syncs = true;
  const auto failed = store_->commit(Batch().put("a", "2").put("b", "2"));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("state store cannot be written: Input/output error"));
  EXPECT_THAT(failed.error().message, HasSubstr(file_));
  EXPECT_FALSE(store_->writable().ok());
  EXPECT_EQ(store_->get("a").value()->value, "1");  // reads go on
  const int before = vfs_.opened;
  EXPECT_FALSE(put(*store_, "a", "3").ok());
  EXPECT_GT(vfs_.opened, before);  // not "sync again and go on": opened and read anew
  vfs_.fail_syncs = false;
  ASSERT_TRUE(put(*store_, "c", "4").ok());
  EXPECT_TRUE(store_->writable().ok());
  EXPECT_EQ(store_->revision(), 2U);
  store_.reset();
  const auto again = open().value();
  EXPECT_EQ(again->scan("").value(), (std::vector<Record>{{"a", "1", 1}, {"c", "4", 2}}));
}

TEST_F(FailingDisk, SyncsDurableBatchesOnceAndLazyOnesNot) {
  ASSERT_TRUE(put(*store_, "a", "1").ok());
  const int before = vfs_.syncs;
  Batch lazy;
  lazy.put("b", "1").durability = Durability::Lazy;
  ASSERT_TRUE(store_->commit(lazy).ok());
  EXPECT_EQ(vfs_.syncs, before);
  const std::vector<Batch> many(50, Batch().put("c", "1"));
  for (const auto& answer : store_->commit(std::span<const Batch>(many))) EXPECT_TRUE(answer.ok());
  EXPECT_EQ(vfs_.syncs, before + 1);
}

TEST_F(FailingDisk, SaysNoSpaceLeftAndGoesOnWhenThereIs) {
  ASSERT_TRUE(put(*store_, "a", "1").ok());
  vfs_.full = true;
  const auto failed = put(*store_, "a", "2");
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("state store cannot be written: No space left on device"));
  EXPECT_EQ(store_->get("a").value()->value, "1");
  vfs_.full = false;
  EXPECT_TRUE(put(*store_, "a", "3").ok());
  store_.reset();
  EXPECT_EQ(open().value()->get("a").value()->value, "3");
}

// A batch may reach the file although its sync failed. It was refused, so it must not be there later.
TEST_F(FailingDisk, TakesBackWhatReachedTheFileAllTheSame) {
  ASSERT_TRUE(put(*store_, "a", "1").ok());
  vfs_.fail_syncs = true;
  ASSERT_FALSE(put(*store_, "ghost", "x").ok());
  vfs_.fail_syncs = false;
  ASSERT_TRUE(put(*store_, "b", "2").ok());
  store_.reset();
  EXPECT_EQ(open().value()->get("ghost").value(), std::nullopt);
}

// A real full disk: a tmpfs of our own in a mount namespace of our own.
TEST_F(SqliteStoreTest, SurvivesARealFullDisk) {
  const pid_t pid = ::fork();
  constexpr int kCannotMount = 77;
  if (pid == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", dir_.path().c_str(), "tmpfs", 0, "size=512k,mode=0700") != 0)
      ::_exit(kCannotMount);
    auto store = SqliteStore::open(dir_.path()).value();
    int last = -1;
    Result<Revision> answer = Revision{0};
    for (int n = 0; n < 1000 && answer.ok(); ++n) {
      answer = store->commit(Batch().put("k" + std::to_string(n), std::string(4000, 'x')));
      if (answer.ok()) last = n;
    }
    if (answer.ok() || answer.error().message.find("No space left on device") == std::string::npos) ::_exit(1);
    if (store->scan("k").value().size() != static_cast<size_t>(last + 1)) ::_exit(2);
    store.reset();
    // Room again, also after a restart of the whole process.
    if (::mount("none", dir_.path().c_str(), "tmpfs", MS_REMOUNT, "size=8m") != 0) ::_exit(kCannotMount);
    store = SqliteStore::open(dir_.path()).value();
    if (store->scan("k").value().size() != static_cast<size_t>(last + 1)) ::_exit(3);
    if (!store->commit(Batch().put("again", "1")).ok()) ::_exit(4);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kCannotMount) GTEST_SKIP() << "no permission to mount a tmpfs";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace escala
