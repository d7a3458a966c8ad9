// The services that this door speaks for, a row each: name, version and dialects -> the operations behind them. A new
// service is a row here and its actions (docs/adding.md).
#pragma once

#include <span>
#include <string_view>

#include "api/actions.h"
#include "api/form.h"

namespace escala::api {

struct Service {
  // How answers of the Query protocol are wrapped.
  enum class Envelope : uint8_t {
    Query,  // <OpResponse><OpResult>...</OpResult><ResponseMetadata/></OpResponse>, <ErrorResponse>
    Ec2,    // <OpResponse><requestId/>...</OpResponse>, <Response><Errors>
  };
  std::string_view name;     // as signatures are scoped to it
  std::string_view title;    // for people
  std::string_view version;  // Version=
  std::string_view xml_namespace;
  std::string_view json_target;  // X-Amz-Target up to the operation, for awsJson1.0; empty: not spoken
  size_t most_parameters;        // of a form
  ListStyle lists = ListStyle::Member;
  Envelope envelope = Envelope::Query;
  // The operation of this name, or null. Names that are ours alone are no part of any service.
  const Action* (*find)(std::string_view name);
  // Every operation of it that is known here, sorted; those of EC2 Auto Scaling 2011-01-01 all, whether or not they
  // have a row.
  std::span<const std::string_view> operations;
};

std::span<const Service> services();
const Service* service_of_version(std::string_view version);
// The service an Authorization header's credential is scoped to; null where it names none of ours.
const Service* service_of_scope(std::string_view authorization);
// "GraniteServiceVersion20100801.PutMetricData" -> CloudWatch, and the name of the operation.
std::pair<const Service*, std::string_view> service_of_target(std::string_view target);

}  // namespace escala::api
