// Where notifications may go: https anywhere, plain http on loopback.
#pragma once

#include <optional>
#include <string>

namespace escala::api {

// What is wrong with a topic's URL; nullopt when nothing is. ("127.0.0.1.example.org" is refused: its address is not
// loopback; only dotted numbers after "127." are.)
std::optional<std::string> wrong_topic(const std::string& topic);

}  // namespace escala::api
