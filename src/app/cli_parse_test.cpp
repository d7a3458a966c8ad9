// Command lines: rows 1-14 of the catalogue of bad inputs.
#include "app/cli_parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "app/cli_output.h"
#include "app/commands.h"

namespace escala::app {
namespace {

using testing::HasSubstr;

struct Outcome {
  int code = -1;  // -1: went on
  std::string message;
  int64_t min = 0;
};

Outcome parse(std::vector<std::string> words) {
  CLI::App cli{"test", "escala test"};
  Outcome out;
  double target = 0;
  Duration interval{0};
  std::string output, name;
  add_integer(cli, "--min", out.min, 0, 10000, "least");
  add_number(cli, "--target", target, 1e-9, 1e9, "target");
  add_duration(cli, "--interval", interval, 1s, 1h, "interval");
  add_choice(cli, "--output", output, {"table", "json", "text"}, "output");
  cli.add_option("GROUP", name, "group")->required();
  words.insert(words.begin(), "test");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStderr();
  const auto code = parse_command_line(cli, static_cast<int>(argv.size()), argv.data());
  out.message = testing::internal::GetCapturedStderr();
  out.code = code.value_or(-1);
  return out;
}

TEST(CommandLine, TakesDecimalNumbersOnly) {
  EXPECT_EQ(parse({"web", "--min", "10"}).min, 10);
  EXPECT_EQ(parse({"web", "--min=7"}).min, 7);
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"web", "--min", "010"}, "--min: '010' is ambiguous (octal?); write 10 or 8"},
      {{"web", "--min", "0x1F"}, "--min: '0x1F' is not a decimal integer"},
      {{"web", "--min", ""}, "--min: empty value; expected an integer 0..10000"},
      {{"web", "--min", "-1"}, "--min: -1 is below 0"},
      {{"web", "--min", "10001"}, "--min: 10001 is above 10000"},
      {{"web", "--target", "nan"}, "must be a finite number"},
      {{"web", "--target", "inf"}, "must be a finite number"},
      {{"web", "--target", "1e400"}, "must be a finite number"},
      {{"web", "--target", "0x1p3"}, "'0x1p3' is not a decimal number"},
      {{"web", "--min", "5", "--min", "6"}, "--min: given twice"},
      {{"web", "--mn", "5"}, "unknown option --mn; did you mean --min?"},
      {{"web", "--min", "1e3"}, "'1e3' is not an integer"},
      {{"web", "--min", "3.7"}, "'3.7' is not an integer"},
      {{"web", "--min", "1_000"}, "'1_000' is not an integer"},
      {{"web", "--min", "5 "}, "'5 ' is not an integer"},
      {{}, "missing GROUP; usage: escala test GROUP [OPTIONS]"},
      {{"web", "--interval", "10"}, "--interval: '10'; expected a duration such as 10s, 5m; range 1s..1h"},
      {{"web", "--interval", "10 parsecs"}, "expected a duration"},
      {{"web", "--interval", "-5s"}, "expected a duration"},
      {{"web", "--interval", "1000000d"}, "expected a duration"},
      {{"web", "--output", "xml"}, "--output: 'xml'; expected table, json, text"},
      {{"web", "extra"}, "unexpected 'extra'; usage: "},
  };
  for (const auto& [words, expected] : rows) {
    const Outcome outcome = parse(words);
    EXPECT_EQ(outcome.code, 2) << expected;
    EXPECT_THAT(outcome.message, HasSubstr(expected));
    EXPECT_THAT(outcome.message, testing::StartsWith("escala: "));
  }
}

int run(int (*command)(int, char**), std::vector<std::string> words, std::string& message) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStderr();
  const int code = command(static_cast<int>(argv.size()), argv.data());
  message = testing::internal::GetCapturedStderr();
  return code;
}

TEST(CommandLine, WrongOnesOfCtlEndWith2) {
  std::string message;
  EXPECT_EQ(run(run_ctl, {"ctl", "grups"}, message), 2);
  EXPECT_THAT(message, HasSubstr("unknown command 'grups'; did you mean 'groups'?"));
  EXPECT_EQ(run(run_ctl, {"ctl"}, message), 2);
  EXPECT_EQ(run(run_ctl, {"ctl", "explain"}, message), 2);
  EXPECT_THAT(message, HasSubstr("missing GROUP; usage: escala ctl explain GROUP"));
  EXPECT_EQ(run(run_ctl, {"ctl", "set-desired", "web", "010"}, message), 2);
  EXPECT_THAT(message, HasSubstr("ambiguous"));
  EXPECT_EQ(run(run_ctl, {"ctl", "groups", "--state-dir", "/nonexistent"}, message), 1);
  EXPECT_THAT(message, HasSubstr("is `escala serve` running"));
  EXPECT_EQ(run(run_completion, {"completion", "fish"}, message), 2);
}

// None of these starts anything: the command line is read first.
TEST(CommandLine, WrongOnesOfEveryCommandEndWith2) {
  struct Row {
    int (*command)(int, char**);
    std::vector<std::string> words;
    const char* expected;
  };
  const Row rows[] = {
      {run_monitor, {"monitor", "--lissten", "x"}, "unknown option --lissten; did you mean --listen?"},
      {run_monitor, {"monitor", "--slots", "010"}, "--slots: '010' is ambiguous (octal?); write 10 or 8"},
      {run_monitor, {"monitor", "--slots", "0"}, "--slots: 0 is below 1"},
      {run_monitor, {"monitor", "--max-agents", "0x10"}, "--max-agents: '0x10' is not a decimal integer"},
      {run_monitor, {"monitor", "--listen", "a:1", "--listen", "a:2"}, "--listen: given twice"},
      {run_monitor, {"monitor", "--log-level", "inof"}, "--log-level: 'inof'; expected debug, info, warning, error"},
      {run_monitor, {"monitor", "extra"}, "unexpected 'extra'; usage: escala monitor [OPTIONS]"},
      {run_monitor, {"monitor", "--tls-key", "/nonexistent"}, "--tls-key: "},
      {run_control, {"control", "--agnet", "x"}, "unknown option --agnet; did you mean --agent?"},
      {run_control, {"control", "--slots", "1e3"}, "--slots: '1e3' is not an integer"},
      {run_control, {"control", "--max-wait", "nan"}, "--max-wait: 'nan': must be a finite number"},
      {run_control, {"control", "--max-wait", "0"}, "--max-wait: 0 is outside 0.1..60"},
      {run_control, {"control", "--inventory-period", "0x1p3"}, "'0x1p3' is not a decimal number"},
      {run_control, {"control", "--max-wait", "1", "--max-wait", "2"}, "--max-wait: given twice"},
      {run_serve, {"serve", "--state-dri", "x"}, "unknown option --state-dri; did you mean --state-dir?"},
      {run_serve, {"serve", "--listen", "a:1", "--listen", "a:2"}, "--listen: given twice"},
      {run_serve, {"serve", "extra"}, "unexpected 'extra'; usage: escala serve [OPTIONS]"},
      {run_demo, {"demo", "--duration", "10"}, "--duration: '10'; expected a duration such as 10s, 5m; range 10s..1d"},
      {run_demo, {"demo", "--duration", "9s"}, "--duration: '9s'; expected a duration"},
      {run_demo, {"demo", "--speed", "inf"}, "--speed: 'inf': must be a finite number"},
      {run_demo, {"demo", "--speeed", "2"}, "unknown option --speeed; did you mean --speed?"},
      {run_worker, {"worker", "--port", "070"}, "--port: '070' is ambiguous (octal?)"},
      {run_worker, {"worker", "--port", "70000"}, "--port: 70000 is above 65535"},
      {run_worker, {"worker", "--cpu-ms", "nan"}, "--cpu-ms: 'nan': must be a finite number"},
      {run_board, {"board", "--sort", "cqu"}, "--sort: 'cqu'; expected cpu, memory, load, group, instance"},
      {run_board, {"board", "--onec"}, "unknown option --onec; did you mean --once?"},
      {run_monitor, {"monitor", "--listen", "127.0.0.1:70000"}, "--listen: '127.0.0.1:70000' is not address:port: "},
      {run_monitor, {"monitor", "--advertise", "htp://x"}, "--advertise: "},
      {run_monitor, {"monitor", "--advertise", "a:0"}, "--advertise: agents cannot dial port 0"},
      {run_monitor, {"monitor", "--state-dir", ""}, "--state-dir: empty value"},
      {run_control, {"control", "--listen", "127.0.0.1:70000"}, "port 70000 is outside 0..65535"},
      {run_control, {"control", "--listen", "127.0.0.1:"}, "expected ADDRESS:PORT"},
      {run_control, {"control", "--listen", "0.0.0.0:1"}, "off loopback the API speaks TLS only"},
      {run_control, {"control", "--tls-cert", ""}, "--tls-cert: empty value"},
      {run_control, {"control", "--tls-cert", "/x"}, "--tls-cert and --tls-key go together"},
      {run_control, {"control", "--tls-cert", "/dev/zero", "--tls-key", "/x"}, "'/dev/zero': is no plain file"},
      {run_control, {"control", "--provider", "ec3"}, "--provider: ec3 not in {process,ec2}"},
      {run_audit, {"audit", "verfy"}, "audit: unknown command 'verfy'; expected verify"},
      {run_trace, {"trace", "generat"}, "trace: unknown command 'generat'; expected generate"},
      {run_ctl, {"ctl", "pause", ""}, "GROUP: empty value"},
      {run_ctl, {"ctl", "explain", "w\x1b[31mb"}, "byte 0x1B at 2 is a control character or not valid UTF-8"},
      {run_ctl, {"ctl", "explain", "w\xff"}, "byte 0xFF at 2 is a control character or not valid UTF-8"},
      {run_apply, {"apply", "-f", "x", "--fiel", "x"}, "unknown option --fiel; did you mean --file?"},
  };
  for (const Row& row : rows) {
    std::string message;
    EXPECT_EQ(run(row.command, row.words, message), 2) << row.expected;
    EXPECT_THAT(message, HasSubstr(row.expected));
    EXPECT_THAT(message, testing::StartsWith("escala"));
  }
}

TEST(CommandLine, AnAuditOfNothingIsNoProof) {
  std::string message;
  EXPECT_EQ(run(run_audit, {"audit", "verify", "--state-dir", "/nonexistent"}, message), 1);
  EXPECT_THAT(message, HasSubstr("/nonexistent: No such file"));
  EXPECT_EQ(run(run_audit, {"audit", "verify", "--state-dir", "/usr"}, message), 1);
  EXPECT_THAT(message, HasSubstr("/usr is no state directory"));
}

TEST(CommandLine, FilesThatAreNoFilesAreRefusedAtOnce) {
  std::string message;
  char pattern[] = "/tmp/escala-files-XXXXXX";
  const std::string dir = mkdtemp(pattern), fifo = dir + "/fifo", dangling = dir + "/dangling";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_EQ(symlink("/nonexistent/y", dangling.c_str()), 0);
  const std::pair<const char*, const char*> rows[] = {{"/dev/zero", "is a device or socket; expected a file"},
                                                      {"/", "is a directory; expected a file"},
                                                      {"/nonexistent/x", "No such file"},
                                                      {fifo.c_str(), "expected a file"},
                                                      {dangling.c_str(), "No such file"}};
  for (const auto& [path, expected] : rows) {
    EXPECT_EQ(run(run_apply, {"apply", "-f", path}, message), 2);
    EXPECT_THAT(message, HasSubstr(expected));
  }
  EXPECT_EQ(run(run_apply, {"apply"}, message), 2);
  std::filesystem::remove_all(dir);
}

TEST(Table, AlignsColumnsAndEscapesStrangers) {
  Table table({"NAME", "N"});
  table.add({{"a\x1b[1m"}, {"1"}});
  table.add({{"lönger"}, {"22"}});
  EXPECT_EQ(table.text(false), "NAME      N\na\\x1b[1m  1\nlönger    22\n");
  EXPECT_EQ(table.plain(), "a\\x1b[1m\t1\nlönger\t22\n");
}

}  // namespace
}  // namespace escala::app
