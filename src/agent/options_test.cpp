#include "agent/options.h"

#include <gtest/gtest.h>

namespace escala {
namespace {

const char* nothing(const char*) {
  return nullptr;
}

std::string message(std::vector<std::string_view> arguments) {
  const auto options = parse_options(arguments, nothing);
  return options.ok() ? "accepted" : options.error().message;
}

TEST(Options, AWholeCommandLine) {
  const auto options = parse_options({"--manager",
                                      "127.0.0.1:7770",
                                      "--group=web",
                                      "--instance",
                                      "i-1",
                                      "--listen",
                                      "127.64.0.1:7700",
                                      "--cpu-limit",
                                      "0.1",
                                      "--memory-limit",
                                      "268435456",
                                      "--period=500ms",
                                      "--scrape",
                                      "http://127.0.0.1:9100/metrics",
                                      "--series",
                                      "a=b",
                                      "--series",
                                      "rate(c{d=\"e\"})=f",
                                      "--exec",
                                      "--",
                                      "sleep",
                                      "--help"},
                                     nothing);
  ASSERT_TRUE(options.ok()) << options.error().message;
  EXPECT_EQ(options->group, "web");
  EXPECT_EQ(options->period, 500ms);
  EXPECT_DOUBLE_EQ(options->cpu_limit, 0.1);
  EXPECT_EQ(options->series.size(), 2u);
  EXPECT_EQ(options->scrape->port, 9100);
  EXPECT_EQ(options->command, (std::vector<std::string>{"sleep", "--help"}));
}

TEST(Options, MistakesAreNamed) {
  EXPECT_EQ(message({"--grup", "x"}), "unknown option --grup; did you mean --group?");
  EXPECT_EQ(message({"--zzzzzz"}), "unknown option --zzzzzz");
  EXPECT_EQ(message({"--group", "a", "--group", "b"}), "--group: given twice");
  EXPECT_EQ(message({"--group"}), "--group: the value is missing; expected NAME");
  EXPECT_EQ(message({"--group", ""}), "--group: empty value; expected NAME");
  EXPECT_EQ(message({"--pull-only=yes"}), "--pull-only: takes no value");
  EXPECT_EQ(message({"sleep"}), "unexpected argument 'sleep'; a workload goes after --exec");
  EXPECT_EQ(message({"--exec"}), "--exec: the command is missing; expected --exec CMD [ARGUMENT...]");
  EXPECT_EQ(message({"--period", "10"}), "--period: '10': expected a duration such as 10s, 500ms; range 200ms..1m");
  EXPECT_EQ(message({"--period", "100ms"}),
            "--period: '100ms': expected a duration such as 10s, 500ms; range 200ms..1m");
  for (const char* wrong : {"nan", "inf", "0x1", "-1", "1e400", "1 ", "0"})
    EXPECT_EQ(message({"--cpu-limit", wrong}),
              std::string("--cpu-limit: '") + wrong + "': expected a decimal number, range 0.001..65536");
  for (const char* wrong : {"010", "0x1F", "-1", "1e6", "5"})
    EXPECT_NE(message({"--memory-limit", wrong}).find("--memory-limit: '"), std::string::npos) << wrong;
  EXPECT_EQ(message({"--listen", "7700"}), "--listen: '7700': expected ADDRESS:PORT");
  EXPECT_EQ(message({"--listen", "127.0.0.1:70000"}), "--listen: '127.0.0.1:70000': the port is outside 0..65535");
  EXPECT_EQ(message({"--ready", "127.0.0.1:0"}), "--ready: '127.0.0.1:0': the port is outside 1..65535");
  EXPECT_EQ(message({"--ready", "8080"}), "--ready: '8080' is not address:port: there is no port");
  EXPECT_EQ(message({"--ready", "web:80"}).rfind("--ready: ", 0), 0u);
  EXPECT_EQ(message({"--ready", "${ESCALA_ADDRESS}:80"}), "--ready: ESCALA_ADDRESS is not set in the environment");
}

TEST(Options, WhatBelongsTogether) {
  EXPECT_EQ(message({}), "missing --manager ADDR:PORT; or give --listen ADDR:PORT and --pull-only");
  EXPECT_EQ(message({"--manager", "a:1"}), "missing --group NAME");
  EXPECT_EQ(message({"--manager", "10.0.0.1:7770", "--group", "g", "--instance", "i"}),
            "--manager: '10.0.0.1:7770' is off loopback, where the monitor speaks TLS only; add --tls-ca FILE");
  EXPECT_EQ(message({"--cpu-limit", "010"}), "--cpu-limit: '010': expected a decimal number, range 0.001..65536");
  EXPECT_EQ(message({"--manager", "a:1", "--group", "g"}), "missing --instance ID");
  EXPECT_EQ(message({"--pull-only", "--group", "g", "--instance", "i"}), "--pull-only: needs --listen ADDR:PORT");
  EXPECT_EQ(message({"--manager", "a:1", "--group", "g", "--instance", "i", "--series", "a=b"}),
            "--series: needs --scrape URL");
  EXPECT_EQ(message({"--manager", "a:1", "--group", "g", "--instance", "i", "--tls-cert", "x"}),
            "--tls-cert, --tls-key and --tls-ca: all three are needed, or --tls-ca alone");
}

TEST(Options, TheEnvironmentFillsIn) {
  const auto options = parse_options(
      {"--scrape", "http://${ESCALA_ADDRESS}:80/", "--series", "a=b", "--ready", "${ESCALA_ADDRESS}:8080"},
      [](const char* name) -> const char* {
        const std::string_view n = name;
        if (n == "ESCALA_GROUP") return "web";
        if (n == "ESCALA_INSTANCE_ID") return "i-9";
        if (n == "ESCALA_MANAGER") return "127.0.0.1:1";
        if (n == "ESCALA_TOKEN") return "secret";
        if (n == "ESCALA_ADDRESS") return "127.64.1.2";
        return nullptr;
      });
  ASSERT_TRUE(options.ok()) << options.error().message;
  EXPECT_EQ(options->instance, "i-9");
  EXPECT_EQ(options->join_token, "secret");
  EXPECT_EQ(options->scrape->host, "127.64.1.2");
  EXPECT_EQ(options->ready->text(), "127.64.1.2:8080");
}

TEST(Options, ScrapeUrls) {
  EXPECT_EQ(parse_scrape_url("http://localhost/")->host, "127.0.0.1");
  EXPECT_EQ(parse_scrape_url("http://[::1]:90/m")->port, 90);
  for (const char* wrong : {"https://127.0.0.1/", "http://example.com/", "http://u:p@127.0.0.1/", "http://127.0.0.1:0/",
                            "http://127.0.0.1:70000/", "http://127.0.0.1/a b", "127.0.0.1:80"})
    EXPECT_FALSE(parse_scrape_url(wrong).ok()) << wrong;
}

TEST(Options, HelpNamesEveryOption) {
  const std::string help = options_help();
  for (const char* name : {"--manager", "--exec", "--sampler", "--series", "share:", "ramp"})
    EXPECT_NE(help.find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace escala
