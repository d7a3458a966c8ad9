#include "store/export.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <memory>

#include "store/records.h"

namespace escala {

namespace {

using Message = google::protobuf::Message;

template <typename M>
std::unique_ptr<Message> make() {
  return std::make_unique<M>();
}

struct Kind {
  std::string_view prefix;
  std::unique_ptr<Message> (*make)();
};
constexpr Kind kKinds[] = {
    {"meta", make<state::Meta>},
    {"fleet", make<state::Fleet>},
    {"group/", make<state::Group>},
    {"memory/", make<state::GroupMemory>},
    {"forecast/", make<state::Forecasts>},
    {"spec/", make<state::LaunchSpec>},
    {"instance/", make<state::Instance>},
    {"operation/", make<state::Operation>},
    {"activity/", make<state::Activity>},
    {"decision/", make<state::Decision>},
    {"decision-snapshot/", make<state::Snapshot>},
    {"refresh/", make<state::RefreshRecord>},
    {"detached/", make<state::DetachedInstance>},
    {"client-token/", make<state::ClientToken>},
    {"traffic/", make<state::TrafficState>},
    {"notice/", make<state::Notice>},
    {"dead-notice/", make<state::Notice>},
};

std::unique_ptr<Message> message_for(std::string_view key) {
  for (const Kind& kind : kKinds)
    if (key.starts_with(kind.prefix)) return kind.make();
  return nullptr;
}

std::string quoted(std::string_view text) {
  google::protobuf::Value value;
  value.set_string_value(std::string(text));
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(value, &out).ok()) return "\"\"";
  return out;
}

std::string one(const Record& record) {
  const std::string head = fmt::format("{{\"key\":{},\"version\":{}", quoted(record.key), record.version);
  const auto message = message_for(record.key);
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  if (record.key.starts_with("accesskey/")) return head + ",\"value\":\"withheld\"}";
  if (!message) return head + ",\"error\":\"no record of a known kind\"}";
  if (!message->ParseFromString(record.value) ||
      !google::protobuf::util::MessageToJsonString(*message, &json, options).ok())
    return head + fmt::format(",\"error\":\"cannot be read as {}\"}}", message->GetDescriptor()->full_name());
  return head + ",\"value\":" + json + ",\"checksum\":\"" + record_checksum(*message) + "\"}";
}

}  // namespace

std::string record_checksum(const Message& contents) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);  // maps in one order
  contents.SerializeToCodedStream(&out);
  out.Trim();
  uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

Result<std::string> export_json(const Store& store, std::string_view prefix) {
  ESCALA_ASSIGN(const auto records, store.scan(prefix));
  std::string out = "[";
  for (const Record& record : records) out += (out.size() == 1 ? "\n" : ",\n") + one(record);
  return out + "\n]\n";
}

}  // namespace escala
