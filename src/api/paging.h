// Listings in pages: items by position (a key that orders them), at most MaxRecords, NextToken when more follow.
#pragma once

#include <string>

#include "api/access.h"
#include "api/context.h"
#include "api/next_token.h"

namespace escala::api {

// A token is of one operation and one caller (S-22).
inline std::string token_scope(const Context& context, std::string_view operation) {
  return std::string(operation) + '/' + (context.caller == nullptr ? std::string() : context.caller->key_id);
}

// Where the request's page begins: after this position; "" = at the start. InvalidNextToken for a foreign token.
template <typename Request>
std::variant<std::string, ApiError> page_start(const Context& context, std::string_view operation,
                                               const Request& request) {
  if (!request.has_nexttoken()) return std::string();
  auto position = open_token(token_scope(context, operation), request.nexttoken(), context.clock.now());
  if (!position) return invalid_next_token();
  return std::move(*position);
}

template <typename Request>
size_t page_size(const Request& request, int standard) {
  return static_cast<size_t>(request.has_maxrecords() ? request.maxrecords() : standard);
}

template <typename Response>
void go_on_after(const Context& context, std::string_view operation, std::string_view position, Response& response) {
  response.set_nexttoken(seal_token(token_scope(context, operation), position, context.clock.now()));
}

// Whether `wanted` is empty (everything is wanted) or holds the name.
template <typename List>
bool wants(const List& wanted, std::string_view name) {
  if (wanted.empty()) return true;
  for (const std::string& each : wanted)
    if (each == name) return true;
  return false;
}

}  // namespace escala::api
