#include "app/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace escala::app {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct StateDir : testing::Test {
  StateDir() {
    base = fs::temp_directory_path() / "escala-state-XXXXXX";
    EXPECT_NE(mkdtemp(base.data()), nullptr);
  }
  ~StateDir() override { fs::remove_all(base); }
  void refuse(const std::string& dir, ErrorKind kind, const std::string& why) {
    const Status made = make_state_dir(dir);
    ASSERT_FALSE(made.ok()) << dir;
    EXPECT_EQ(made.error().kind, kind) << made.error().message;
    EXPECT_THAT(made.error().message, HasSubstr(why));
    EXPECT_THAT(made.error().message, HasSubstr("state directory " + dir));
  }
  std::string base;
};

TEST_F(StateDir, IsMadeForItsOwnerAlone) {
  const mode_t before = umask(0);
  const std::string dir = base + "/a/b/state";
  EXPECT_TRUE(make_state_dir(dir).ok());
  EXPECT_TRUE(make_state_dir(dir).ok()) << "again";
  umask(before);
  EXPECT_EQ(fs::status(dir).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(base + "/a/b").permissions() & (fs::perms::group_write | fs::perms::others_write),
            fs::perms::none);
}

TEST_F(StateDir, IsRefusedWhereOthersCouldWrite) {
  const std::string open_to_all = base + "/open";
  fs::create_directory(open_to_all);
  ASSERT_EQ(chmod(open_to_all.c_str(), 0777), 0);
  refuse(open_to_all, ErrorKind::Denied, "mode 0777 lets others write to it; expected 0700");
  ASSERT_EQ(chmod(open_to_all.c_str(), 0720), 0);
  refuse(open_to_all, ErrorKind::Denied, "mode 0720");
  ASSERT_EQ(chmod(open_to_all.c_str(), 0755), 0);
  EXPECT_TRUE(make_state_dir(open_to_all).ok()) << "reading is another matter";
}

TEST_F(StateDir, IsRefusedWhenItIsSomebodyElses) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  const std::string foreign = base + "/foreign";
  fs::create_directory(foreign);
  ASSERT_EQ(chown(foreign.c_str(), 65534, 65534), 0);
  refuse(foreign, ErrorKind::Denied, "belongs to uid 65534, this process is uid 0");
}

TEST_F(StateDir, IsADirectory) {
  std::ofstream(base + "/file") << "x";
  refuse(base + "/file", ErrorKind::Invalid, "is not a directory");
  refuse(base + "/file/below", ErrorKind::Unavailable, "Not a directory");
  fs::create_directory(base + "/real");
  fs::create_symlink(base + "/real", base + "/link");
  refuse(base + "/link", ErrorKind::Invalid, "is not a directory");
  refuse("", ErrorKind::Invalid, "not a path");
  EXPECT_FALSE(make_state_dir(std::string("/tmp/a\0b", 8)).ok());
}

TEST_F(StateDir, ComesFromTheEnvironmentFirst) {
  const char* set = std::getenv("ESCALA_STATE_DIR");
  const std::string before = set != nullptr ? set : "";
  setenv("ESCALA_STATE_DIR", "/some/where", 1);
  EXPECT_EQ(default_state_dir(), "/some/where");
  setenv("ESCALA_STATE_DIR", "", 1);
  EXPECT_THAT(default_state_dir(), testing::EndsWith(geteuid() == 0 ? "/var/lib/escala" : "/.local/state/escala"));
  set != nullptr ? setenv("ESCALA_STATE_DIR", before.c_str(), 1) : unsetenv("ESCALA_STATE_DIR");
}

}  // namespace
}  // namespace escala::app
