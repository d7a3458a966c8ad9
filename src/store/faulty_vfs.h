// For tests: a door between SQLite and the operating system that can be shut. Everything goes to the default one but
// what is told to fail.
#pragma once

#include <sqlite3.h>

#include <cstring>
#include <vector>

#include "base/result.h"

namespace escala {

// One at a time. Threads: those of the store under test.
class FaultyVfs {
 public:
  static constexpr const char* kName = "escala-faulty";

  bool fail_syncs = false;  // EIO from every sync
  bool full = false;        // ENOSPC from every write
  int syncs = 0;
  int opened = 0;

  FaultyVfs() {
    real_ = sqlite3_vfs_find(nullptr);
    ESCALA_CHECK(real_ != nullptr && current_ == nullptr);
    current_ = this;
    vfs_ = *real_;
    vfs_.zName = kName;
    vfs_.pNext = nullptr;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultyVfs() {
    sqlite3_vfs_unregister(&vfs_);
    current_ = nullptr;
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

 private:
  // SQLite's file object: ours first, the real one right behind it.
  struct File {
    sqlite3_file base;
    sqlite3_io_methods methods;
  };
  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
  }
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    auto* mine = reinterpret_cast<File*>(file);
    std::memset(mine, 0, sizeof *mine);
    const int code = current_->real_->xOpen(current_->real_, name, real(file), flags, out);
    if (code != SQLITE_OK) return code;
    ++current_->opened;
    sqlite3_io_methods& to = mine->methods;
    to.iVersion = 1;  // no shared memory: the store locks exclusively
    to.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
    to.xRead = [](sqlite3_file* f, void* data, int n, sqlite3_int64 at) {
      return real(f)->pMethods->xRead(real(f), data, n, at);
    };
    to.xWrite = [](sqlite3_file* f, const void* data, int n, sqlite3_int64 at) {
      return current_->full ? SQLITE_FULL : real(f)->pMethods->xWrite(real(f), data, n, at);
    };
    to.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) { return real(f)->pMethods->xTruncate(real(f), size); };
    to.xSync = [](sqlite3_file* f, int how) {
      ++current_->syncs;
      return current_->fail_syncs ? SQLITE_IOERR_FSYNC : real(f)->pMethods->xSync(real(f), how);
    };
    to.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); };
    to.xLock = [](sqlite3_file* f, int how) { return real(f)->pMethods->xLock(real(f), how); };
    to.xUnlock = [](sqlite3_file* f, int how) { return real(f)->pMethods->xUnlock(real(f), how); };
    to.xCheckReservedLock = [](sqlite3_file* f, int* held) {
      return real(f)->pMethods->xCheckReservedLock(real(f), held);
    };
    to.xFileControl = [](sqlite3_file* f, int what, void* data) {
      return real(f)->pMethods->xFileControl(real(f), what, data);
    };
    to.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
    to.xDeviceCharacteristics = [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); };
    mine->base.pMethods = &to;
    return SQLITE_OK;
  }

  inline static FaultyVfs* current_ = nullptr;
  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace escala
