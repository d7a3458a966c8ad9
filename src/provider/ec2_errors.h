// What EC2's error codes mean to us: one table, each row with its reason. Codes that are not in it are judged by their
// HTTP status.
#pragma once

#include <span>

#include "provider/aws_client.h"

namespace escala {

std::span<const AwsErrorMeaning> ec2_error_table();
// Reads have no unknown outcome; a change that met a server's own fault may have happened.
ErrorKind judge_ec2(const AwsFault& fault, int status, AwsCallClass kind);

}  // namespace escala
