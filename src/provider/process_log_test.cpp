#include "provider/process_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "provider/test_processes.h"

namespace escala {
namespace {

namespace fs = std::filesystem;

struct ProcessLog : testing::Test {
  InstancesDir dir;
  std::string log = dir.path() + "/log", old = log + ".1";
};

TEST_F(ProcessLog, IsLeftAloneUpToItsBound) {
  EXPECT_TRUE(bound_log(log, 10, 5).ok()) << "no log, no trouble";
  std::ofstream(log) << "0123456789";
  EXPECT_TRUE(bound_log(log, 10, 5).ok());
  EXPECT_EQ(text_of(log), "0123456789");
  EXPECT_FALSE(fs::exists(old));
}

TEST_F(ProcessLog, KeepsTheLastWholeLinesAndIsWrittenOn) {
  const int writer = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(writer, 0);
  const auto say = [&](const std::string& line) {
    ASSERT_EQ(::write(writer, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  };
  for (int i = 100; i < 200; ++i) say("line " + std::to_string(i) + "\n");  // 9 bytes each
  EXPECT_TRUE(bound_log(log, 500, 30).ok());
  EXPECT_EQ(text_of(old), "line 197\nline 198\nline 199\n");
  say("goes on\n");
  EXPECT_EQ(text_of(log), "goes on\n") << "no hole where the old lines were";
  for (int i = 200; i < 300; ++i) say("line " + std::to_string(i) + "\n");
  EXPECT_TRUE(bound_log(log, 500, 10'000).ok());
  EXPECT_TRUE(text_of(old).starts_with("goes on\nline 200\n")) << "all of it, and nothing of the one before";
  EXPECT_EQ(fs::file_size(log), 0u);
  ::close(writer);
}

TEST_F(ProcessLog, OneLineWithoutEndIsBoundedToo) {
  std::ofstream(log) << std::string(200'000, 'x');
  EXPECT_TRUE(bound_log(log, 100'000, 90'000).ok());
  EXPECT_EQ(fs::file_size(log), 0u);
  EXPECT_EQ(text_of(old), "");
}

TEST_F(ProcessLog, LeadsNowhere) {
  const std::string precious = dir.path() + "/precious";
  std::ofstream(precious) << std::string(1000, 'p');
  fs::create_symlink(precious, log);
  EXPECT_TRUE(bound_log(log, 10, 5).ok());
  EXPECT_EQ(fs::file_size(precious), 1000u);
  fs::remove(log);
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  EXPECT_TRUE(bound_log(log, 10, 5).ok()) << "and does not wait for a writer";
  fs::remove(log);
  // A link where the kept end goes is replaced, not followed.
  std::ofstream(log) << std::string(1000, 'x');
  fs::create_symlink(precious, old);
  EXPECT_TRUE(bound_log(log, 10, 5).ok());
  EXPECT_EQ(text_of(precious), std::string(1000, 'p'));
}

TEST_F(ProcessLog, IsCutEvenWhenItsEndCannotBeKept) {
  std::ofstream(log) << std::string(1000, 'x');
  fs::create_directory(old);
  const Status cut = bound_log(log, 10, 5);
  EXPECT_FALSE(cut.ok());
  EXPECT_EQ(fs::file_size(log), 0u);
}

}  // namespace
}  // namespace escala
