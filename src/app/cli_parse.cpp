#include "app/cli_parse.h"

#include <fmt/format.h>

#include <cstdio>

#include "api/node.h"
#include "api/numbers.h"
#include "api/suggest.h"
#include "app/cli_output.h"

namespace escala::app {
namespace {

// CLI11 calls it with the text before any conversion of its own; the answer is the complaint, empty when all is well.
using Check = std::function<std::string(const std::string&)>;

CLI::Option* add_checked(CLI::App& app, const std::string& name, const std::string& help, const std::string& type,
                         Check store) {
  CLI::Option* option = app.add_option_function<std::string>(
      name, [](const std::string&) {}, help);
  option->type_name(type);
  option->check(std::move(store));
  return option;
}

// The subcommand that was being parsed when the error came.
const CLI::App& active(const CLI::App& app) {
  const auto subcommands = app.get_subcommands();
  return subcommands.empty() ? app : active(*subcommands.back());
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each = &app; each != nullptr; each = each->get_parent())
    for (const CLI::Option* option : each->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// Options read as they are typed: without quotes.
std::string meant_option(const std::string& option, const CLI::App& command) {
  const std::string meant = api::nearest(option, option_names(command));
  return meant.empty() ? "" : fmt::format("; did you mean {}?", meant);
}

std::string first_option(const std::vector<std::string>& words) {
  for (const std::string& word : words)
    if (word.size() > 1 && word[0] == '-') return word.substr(0, word.find('='));
  return {};
}

std::string usage(const CLI::App& app) {
  std::string text = "usage: " + app.get_name();
  for (const CLI::App* parent = app.get_parent(); parent != nullptr; parent = parent->get_parent())
    text.insert(7, parent->get_name() + " ");
  for (const CLI::Option* option : app.get_options([](const CLI::Option* each) { return each->get_positional(); })) {
    const std::string more = option->get_items_expected_max() > 1 ? "..." : "";
    text += option->get_required() ? fmt::format(" {}{}", option->get_name(true), more)
                                   : fmt::format(" [{}{}]", option->get_name(true), more);
  }
  return text + " [OPTIONS]";
}

constexpr std::string_view kPrefix = "escala ";  // of every command's name
constexpr const char* kMayBeEmpty = "may be empty";

// The first option or argument that was given without a value, here or in a subcommand; null when there is none.
const CLI::Option* given_empty(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const auto& values = option->results();
    if (std::find(values.begin(), values.end(), "") == values.end()) continue;
    try {
      static_cast<void>(const_cast<CLI::Option*>(option)->get_validator(kMayBeEmpty));
    } catch (const CLI::OptionNotFound&) {
      return option;
    }
  }
  for (const CLI::App* each : app.get_subcommands())
    if (const CLI::Option* found = given_empty(*each)) return found;
  return nullptr;
}

std::string sentence_of(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App& command = active(app);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extras = app.remaining(true);
    const std::string option = first_option(extras);
    if (!option.empty()) return fmt::format("unknown option {}{}", api::shown(option), meant_option(option, command));
    return fmt::format("unexpected '{}'; {}", extras.empty() ? "" : api::shown(extras.front()), usage(command));
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && command.get_require_subcommand_min() > 0) {
    std::vector<std::string> known;
    for (const CLI::App* each : command.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(each->get_name());
    for (const std::string& word : app.remaining(true))
      if (!word.starts_with("-"))
        return fmt::format("{}: unknown command '{}'{}", command.get_name().substr(kPrefix.size()), api::shown(word),
                           known.size() == 1 ? "; expected " + known.front() : api::did_you_mean(word, known));
    return fmt::format("missing COMMAND: expected {}; usage: {} COMMAND [OPTIONS]", fmt::join(known, ", "),
                       command.get_name());
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    for (const CLI::Option* option : command.get_options())
      if (option->get_required() && option->count() == 0)
        return fmt::format("missing {}; {}", option->get_positional() ? option->get_name(true) : option->get_name(),
                           usage(command));
    return fmt::format("{}; {}", error.what(), usage(command));
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    for (const std::string& name : option_names(command)) {
      const auto given = std::count_if(words.begin(), words.end(),
                                       [&](const std::string& word) { return word.substr(0, word.find('=')) == name; });
      if (given > 1) return name + ": given twice";
    }
  }
  return error.what();
}

}  // namespace

CLI::Option* add_integer(CLI::App& app, const std::string& name, int64_t& target, int64_t min, int64_t max,
                         const std::string& help) {
  return add_checked(app, name, help, "N", [&target, min, max](const std::string& text) -> std::string {
    const Result<int64_t> value = api::parse_integer(text);
    if (!value)
      return text.empty() ? fmt::format("empty value; expected an integer {}..{}", min, max) : value.error().message;
    if (*value < min) return fmt::format("{} is below {}", *value, min);
    if (*value > max) return fmt::format("{} is above {}", *value, max);
    target = *value;
    return {};
  });
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, double min, double max,
                        const std::string& help) {
  return add_checked(app, name, help, "X", [&target, min, max](const std::string& text) -> std::string {
    const Result<double> value = api::parse_decimal(text);
    if (!value) return value.error().message;
    if (*value < min || *value > max) return fmt::format("{} is outside {}..{}", *value, min, max);
    target = *value;
    return {};
  });
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& target, Duration min, Duration max,
                          const std::string& help) {
  return add_checked(app, name, help, "DURATION", [&target, min, max](const std::string& text) -> std::string {
    const std::string expected =
        fmt::format("expected a duration such as 10s, 5m; range {}..{}", to_text(min), to_text(max));
    const Result<Duration> value = parse_duration(text);
    if (!value || *value < min || *value > max) return fmt::format("'{}'; {}", api::shown(text), expected);
    target = *value;
    return {};
  });
}

CLI::Option* add_word(CLI::App& app, const std::string& name, std::vector<std::string> words,
                      std::function<void(size_t)> chosen, const std::string& help) {
  return add_checked(app, name, help, "WORD",
                     [chosen = std::move(chosen), words = std::move(words)](const std::string& text) -> std::string {
                       for (size_t place = 0; place < words.size(); ++place)
                         if (words[place] == text) {
                           chosen(place);
                           return {};
                         }
                       return fmt::format("'{}'; expected {}{}", api::shown(text), fmt::join(words, ", "),
                                          api::did_you_mean(text, words));
                     });
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& target,
                        const std::vector<std::string>& words, const std::string& help) {
  return add_word(
      app, name, words, [&target, words](size_t place) { target = words[place]; }, help);
}

CLI::Option* may_be_empty(CLI::Option* option) {
  return option->check(CLI::Validator([](std::string&) { return std::string(); }, "", kMayBeEmpty));
}

CLI::Option* add_log_level(CLI::App& app, LogLevel& target) {
  return add_choice<LogLevel>(app, "--log-level", target,
                              {{"debug", LogLevel::Debug},
                               {"info", LogLevel::Info},
                               {"warning", LogLevel::Warning},
                               {"error", LogLevel::Error}},
                              "debug, info, warning or error")
      ->default_str("info");
}

std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    app.parse(argc, argv);
    const CLI::Option* empty = given_empty(app);
    if (empty == nullptr) return std::nullopt;
    return complain(empty->get_name(empty->get_positional()) + ": empty value", 2);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(app.help("", CLI::AppFormatMode::All).c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(sentence_of(error, app, words), 2);
  }
}

}  // namespace escala::app
