#include "wire/health.h"

namespace escala::wire {
namespace {

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::optional<uint64_t> take_varint(std::string_view& in) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

struct Field {
  uint64_t number = 0;
  WireType type = kVarint;
  uint64_t value = 0;
  std::string_view bytes;
};

std::optional<Field> take_field(std::string_view& in) {
  const auto tag = take_varint(in);
  if (!tag || *tag >> 3 == 0) return std::nullopt;
  Field field;
  field.number = *tag >> 3;
  field.type = static_cast<WireType>(*tag & 7);
  size_t length = 0;
  switch (field.type) {
    case kVarint: {
      const auto value = take_varint(in);
      if (!value) return std::nullopt;
      field.value = *value;
      return field;
    }
    case kBytes: {
      const auto told = take_varint(in);
      if (!told || *told > in.size()) return std::nullopt;
      length = *told;
      break;
    }
    case kFixed64:
      length = 8;
      break;
    case kFixed32:
      length = 4;
      break;
    default:
      return std::nullopt;
  }
  if (length > in.size()) return std::nullopt;
  field.bytes = in.substr(0, length);
  in.remove_prefix(length);
  return field;
}

}  // namespace

std::optional<std::string> decode_health_request(std::string_view message) {
  std::string service;
  while (!message.empty()) {
    const auto field = take_field(message);
    if (!field) return std::nullopt;
    if (field->number == 1 && field->type == kBytes) service = field->bytes;
  }
  return service;
}

std::string encode_health_request(std::string_view service) {
  constexpr size_t kMaxServiceBytes = 127;  // a length of one byte; names of services are short
  service = service.substr(0, kMaxServiceBytes);
  if (service.empty()) return {};
  return std::string{'\x0a', static_cast<char>(service.size())} + std::string(service);
}

std::string encode_health_reply(Serving serving) {
  if (serving == Serving::Unknown) return {};
  return {'\x08', static_cast<char>(serving)};
}

std::optional<Serving> decode_health_reply(std::string_view message) {
  Serving serving = Serving::Unknown;
  while (!message.empty()) {
    const auto field = take_field(message);
    if (!field) return std::nullopt;
    if (field->number == 1 && field->type == kVarint)
      serving = field->value == 1 ? Serving::Yes : field->value == 2 ? Serving::No : Serving::Unknown;
  }
  return serving;
}

}  // namespace escala::wire
