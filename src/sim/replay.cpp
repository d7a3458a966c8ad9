#include "sim/replay.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <optional>

#include "control/explain.h"
#include "engine/decide.h"
#include "store/export.h"
#include "store/records.h"

namespace escala {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;
using Path = std::vector<MessageDifferencer::SpecificField>;

Error invalid(std::string what) {
  return {ErrorKind::Invalid, std::move(what)};
}

// Cuts JSON text into the raw texts of its items, without understanding them: protobuf's own reader does that after.
class Slicer {
 public:
  explicit Slicer(std::string_view text) : text_(text) {}

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool take(char c) {
    space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool done() {
    space();
    return at_ == text_.size();
  }
  // The next value, whole; nullopt when the text ends within it.
  std::optional<std::string_view> value() {
    space();
    const size_t from = at_;
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && at_ > from && (c == ',' || c == ']' || c == '}' || c == ':')) break;
      if (c == '"') {
        if (!skip_text()) return std::nullopt;
        if (depth == 0) break;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (depth == 0 && (c == '}' || c == ']')) break;
    }
    if (depth != 0 || at_ == from) return std::nullopt;
    return text_.substr(from, at_ - from);
  }

 private:
  bool skip_text() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Exported {
  std::string key, checksum, error;
  std::string_view value;
};

std::string plain(std::string_view quoted) {
  return quoted.size() >= 2 ? std::string(quoted.substr(1, quoted.size() - 2)) : std::string();
}

Result<Exported> read_record(std::string_view text) {
  Slicer slicer(text);
  Exported record;
  if (!slicer.take('{')) return invalid("expected an object");
  if (slicer.take('}')) return record;
  do {
    const auto key = slicer.value();
    if (!key || !slicer.take(':')) return invalid("cut off within its keys");
    const auto value = slicer.value();
    if (!value) return invalid("cut off within its contents");
    if (*key == "\"key\"") record.key = plain(*value);
    if (*key == "\"checksum\"") record.checksum = plain(*value);
    if (*key == "\"error\"") record.error = plain(*value);
    if (*key == "\"value\"") record.value = *value;
  } while (slicer.take(','));
  if (!slicer.take('}')) return invalid("expected ',' or '}'");
  return record;
}

Status read_message(std::string_view json, Message& message) {
  const auto done =
      google::protobuf::util::JsonStringToMessage(google::protobuf::StringPiece(json.data(), json.size()), &message);
  if (done.ok()) return {};
  const std::string words(done.message());
  const bool unknown_field = words.find("Cannot find field") != std::string::npos;
  return invalid(fmt::format("cannot be read: {}{}", words, unknown_field ? " (of a newer escala?)" : ""));
}

// A record's message, its checksum compared.
Status read_exported(const Exported& record, Message& message) {
  if (!record.error.empty()) return invalid(record.error);
  ESCALA_TRY(read_message(record.value, message));
  if (record.checksum.empty()) return invalid("without a checksum");
  if (record.checksum != record_checksum(message)) return invalid("checksum mismatch");
  return {};
}

// Differences as "path: recorded X, repeated Y".
class Teller final : public MessageDifferencer::Reporter {
 public:
  explicit Teller(std::vector<std::string>& to) : to_(to) {}
  void ReportAdded(const Message&, const Message& second, const Path& path) override {
    tell(path, "nothing", value(second, path, true));
  }
  void ReportDeleted(const Message& first, const Message&, const Path& path) override {
    tell(path, value(first, path, false), "nothing");
  }
  void ReportModified(const Message& first, const Message& second, const Path& path) override {
    tell(path, value(first, path, false), value(second, path, true));
  }

 private:
  void tell(const Path& path, const std::string& recorded, const std::string& repeated) {
    if (to_.size() == kMaxDifferencesTold) return;
    std::string text;
    for (const auto& part : path) {
      if (part.field == nullptr) continue;
      text += (text.empty() ? "" : ".") + part.field->name();
      if (part.field->is_repeated()) text += fmt::format("[{}]", part.index >= 0 ? part.index : part.new_index);
    }
    to_.push_back(fmt::format("{}: recorded {}, repeated {}", text, recorded, repeated));
  }
  // The differencer hands over the outermost messages; the value hangs below them, along the path.
  static std::string value(const Message& whole, const Path& path, bool second) {
    const Message* at = &whole;
    for (size_t i = 0; i < path.size(); ++i) {
      const FieldDescriptor* field = path[i].field;
      if (field == nullptr) return "something unknown";
      const int index = second ? path[i].new_index : path[i].index;
      if (i + 1 == path.size()) {
        std::string text;
        google::protobuf::TextFormat::Printer printer;
        printer.SetSingleLineMode(true);
        printer.PrintFieldValueToString(*at, field, field->is_repeated() ? index : -1, &text);
        return text;
      }
      const auto* reflection = at->GetReflection();
      at = field->is_repeated() ? &reflection->GetRepeatedMessage(*at, field, index)
                                : &reflection->GetMessage(*at, field);
    }
    return "everything";
  }

  std::vector<std::string>& to_;
};

Result<Replayed> repeat(const state::Decision& recorded, const state::Snapshot& snapshot) {
  Replayed result{recorded.group(), recorded.sequence(), {}};
  const Result<SnapshotAt> seen = decode(snapshot);
  if (!seen) return seen.error().in("its snapshot");
  state::Decision again = describe(seen->seen, decide(seen->seen, seen->now), seen->now);
  // Its place in the ring is none of the decision's business.
  again.set_sequence(recorded.sequence());
  again.set_last_at(recorded.last_at());
  again.set_repeats(recorded.repeats());
  MessageDifferencer differencer;
  Teller teller(result.differences);
  differencer.ReportDifferencesTo(&teller);
  differencer.Compare(recorded, again);
  return result;
}

}  // namespace

size_t ReplayReport::differing() const {
  return static_cast<size_t>(
      std::count_if(repeated.begin(), repeated.end(), [](const Replayed& each) { return !each.differences.empty(); }));
}

bool is_one_object(std::string_view json) {
  return Slicer(json).take('{');
}

Result<ReplayReport> replay_export(std::string_view json, std::string_view group) {
  struct Decided {
    size_t number;  // of its record
    state::Decision decision;
  };
  std::map<std::string, Decided> decisions;          // by what follows the prefix of their keys
  std::map<std::string, state::Snapshot> snapshots;  // likewise
  Slicer slicer(json);
  size_t number = 0;
  const auto fault = [](size_t at, std::string_view what) {
    return invalid(fmt::format("record {}: {}; replay stops here", at, what));
  };
  if (!slicer.take('[')) return invalid("expected the list that `escala ctl export` prints");
  if (!slicer.take(']')) {
    do {
      ++number;
      const auto text = slicer.value();
      if (!text) return fault(number, "cut off");
      const Result<Exported> record = read_record(*text);
      if (!record) return fault(number, record.error().message);
      const size_t slash = std::min(record->key.find('/'), record->key.size());
      const std::string place = record->key.substr(slash);
      if (record->key.starts_with("decision/")) {
        Decided& decided = decisions[place];
        decided.number = number;
        if (const Status read = read_exported(*record, decided.decision); !read)
          return fault(number, read.error().message);
      } else if (record->key.starts_with("decision-snapshot/")) {
        if (const Status read = read_exported(*record, snapshots[place]); !read)
          return fault(number, read.error().message);
      }
    } while (slicer.take(','));
    if (!slicer.take(']')) return invalid(fmt::format("cut off after record {}", number));
  }
  if (!slicer.done()) return invalid("something follows the end of the list");
  ReplayReport report;
  for (const auto& [place, decided] : decisions) {
    if (!group.empty() && decided.decision.group() != group) continue;
    const auto snapshot = snapshots.find(place);
    if (snapshot == snapshots.end()) {
      ++report.without_snapshot;
      continue;
    }
    Result<Replayed> repeated = repeat(decided.decision, snapshot->second);
    if (!repeated) return fault(decided.number, repeated.error().message);
    report.repeated.push_back(std::move(*repeated));
  }
  return report;
}

Result<SnapshotAnswer> answer_snapshot(std::string_view json) {
  state::Snapshot message;
  ESCALA_TRY(read_message(json, message));
  ESCALA_ASSIGN(const SnapshotAt at, decode(message));
  const Decision decision = decide(at.seen, at.now);
  SnapshotAnswer answer{at.seen.group.name.str(), at.seen.group.desired_capacity, decision.desired, {}, {}};
  for (const Proposal& proposal : decision.proposals)
    for (const Reason& reason : proposal.reasons) answer.reasons.push_back(sentence(reason));
  for (const Reason& reason : decision.reasons) {
    std::string words = sentence(reason);
    if (std::find(answer.reasons.begin(), answer.reasons.end(), words) == answer.reasons.end())
      answer.reasons.push_back(std::move(words));
  }
  for (const Action& action : decision.actions) answer.actions.push_back(to_text(action));
  return answer;
}

}  // namespace escala
