// grpc.health.v1.Health/Check, spoken by hand: two messages of one field each are not worth a generated file in every
// agent. Every server answers it by itself, so that probes of any orchestrator work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace escala::wire {

inline constexpr std::string_view kHealthCheckPath = "/grpc.health.v1.Health/Check";

enum class Serving : uint8_t { Unknown = 0, Yes = 1, No = 2 };

// HealthCheckRequest: the service asked for, empty = the server as a whole. Nothing when malformed.
std::optional<std::string> decode_health_request(std::string_view message);
std::string encode_health_request(std::string_view service);
std::string encode_health_reply(Serving serving);
std::optional<Serving> decode_health_reply(std::string_view message);

}  // namespace escala::wire
