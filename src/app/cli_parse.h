// Command lines, strictly: CLI11 with our numbers (it takes octal, hexadecimal and nan), our sentences and our exit
// codes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/time.h"

namespace escala::app {

// An option that takes an integer in [min, max].
CLI::Option* add_integer(CLI::App& app, const std::string& name, int64_t& target, int64_t min, int64_t max,
                         const std::string& help);
// A finite number in [min, max], written in decimal.
CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, double min, double max,
                        const std::string& help);
// A duration with its unit in [min, max]: "10s", "5m".
CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& target, Duration min, Duration max,
                          const std::string& help);
// One of a few words, with "did you mean".
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& target,
                        const std::vector<std::string>& words, const std::string& help);
// The same, each word standing for the value at its place.
template <typename Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& target,
                        const std::vector<std::pair<std::string, Value>>& values, const std::string& help);
// Takes an empty value as one. Every other option refuses it: it is most often a shell variable that was not set.
CLI::Option* may_be_empty(CLI::Option* option);
CLI::Option* add_log_level(CLI::App& app, LogLevel& target);

// Parses; the exit code when the command ends here (0 after --help, 2 after a message about what is wrong), nullopt to
// go on. argv[0] is the command's own name.
std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv);

// What the choices share: `chosen` hears the place of the word.
CLI::Option* add_word(CLI::App& app, const std::string& name, std::vector<std::string> words,
                      std::function<void(size_t)> chosen, const std::string& help);

template <typename Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& target,
                        const std::vector<std::pair<std::string, Value>>& values, const std::string& help) {
  std::vector<std::string> words;
  words.reserve(values.size());
  for (const auto& [word, value] : values) words.push_back(word);
  return add_word(
      app, name, std::move(words), [&target, values](size_t place) { target = values[place].second; }, help);
}

}  // namespace escala::app
