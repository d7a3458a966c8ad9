#include "provider/ec2_errors.h"

#include <algorithm>
#include <array>

namespace escala {
namespace {

using enum ErrorKind;

constexpr std::array kTable = {
    // Asked too often, or too much at once: later.
    AwsErrorMeaning{"RequestLimitExceeded", Throttled, "the account's calls per second in this region"},
    AwsErrorMeaning{"Throttling", Throttled, "the same, as other services word it"},
    AwsErrorMeaning{"ThrottlingException", Throttled, "the same"},
    AwsErrorMeaning{"RequestThrottled", Throttled, "the same"},
    AwsErrorMeaning{"RequestThrottledException", Throttled, "the same"},
    AwsErrorMeaning{"EC2ThrottledException", Throttled, "the same, for EC2 inside"},
    AwsErrorMeaning{"SlowDown", Throttled, "the same"},
    AwsErrorMeaning{"BandwidthLimitExceeded", Throttled, "the same, by bytes"},
    AwsErrorMeaning{"ResourceCountExceeded", Throttled, "too many things named in one call for now"},
    // No machine of this kind here and now: another zone or type may have one.
    AwsErrorMeaning{"InsufficientInstanceCapacity", NoCapacity, "the zone has no machine of this type left"},
    AwsErrorMeaning{"InsufficientCapacity", NoCapacity, "the same"},
    AwsErrorMeaning{"InsufficientHostCapacity", NoCapacity, "no dedicated host has room"},
    AwsErrorMeaning{"InsufficientReservedInstanceCapacity", NoCapacity, "the reservation is used up"},
    AwsErrorMeaning{"InsufficientAddressCapacity", NoCapacity, "no public address is left"},
    AwsErrorMeaning{"InsufficientFreeAddressesInSubnet", NoCapacity, "the subnet has no address left"},
    AwsErrorMeaning{"InsufficientVolumeCapacity", NoCapacity, "the zone has no disk of this type"},
    AwsErrorMeaning{"ReservationCapacityExceeded", NoCapacity, "the capacity reservation is full"},
    AwsErrorMeaning{"SpotMaxPriceTooLow", NoCapacity, "Spot costs more than was offered"},
    AwsErrorMeaning{"MaxSpotInstanceCountExceeded", NoCapacity, "the account's quota of Spot machines"},
    AwsErrorMeaning{"InstanceLimitExceeded", NoCapacity, "the account's quota of machines of this type"},
    AwsErrorMeaning{"VcpuLimitExceeded", NoCapacity, "the account's quota of cores of this family"},
    AwsErrorMeaning{"VolumeLimitExceeded", NoCapacity, "the account's quota of disks"},
    AwsErrorMeaning{"MaxIOPSLimitExceeded", NoCapacity, "the account's quota of provisioned operations"},
    AwsErrorMeaning{"NetworkInterfaceLimitExceeded", NoCapacity, "the account's quota of interfaces"},
    AwsErrorMeaning{"Unsupported", NoCapacity, "the zone does not offer this type; another may"},
    AwsErrorMeaning{"UnsupportedHostConfiguration", NoCapacity, "the same, for dedicated hosts"},
    // Not there: never, not yet, or not any more. Just after a launch "not yet" is normal.
    AwsErrorMeaning{"InvalidInstanceID.NotFound", NotFound, "no such instance, or EC2 does not show it yet"},
    AwsErrorMeaning{"InvalidInstanceID", NotFound, "the same"},
    AwsErrorMeaning{"InvalidInstanceID.Malformed", NotFound, "an id of another provider"},
    // The token has been used: look what it made.
    AwsErrorMeaning{"IdempotentInstanceTerminated", AlreadyExists, "the token's instances have ended"},
    AwsErrorMeaning{"IdempotentParameterMismatch", AlreadyExists, "the token was used with other parameters"},
    // The state forbids it now.
    AwsErrorMeaning{"IncorrectInstanceState", Conflict, "the instance is between two states"},
    AwsErrorMeaning{"IncorrectState", Conflict, "the same"},
    AwsErrorMeaning{"InvalidInstanceState", Conflict, "the same"},
    AwsErrorMeaning{"OperationNotPermitted", Conflict, "termination protection is on, or the instance is managed"},
    // We may not, or are not believed.
    AwsErrorMeaning{"UnauthorizedOperation", Denied, "the policy of these credentials does not allow it"},
    AwsErrorMeaning{"AccessDenied", Denied, "the same"},
    AwsErrorMeaning{"AccessDeniedException", Denied, "the same"},
    AwsErrorMeaning{"AuthFailure", Denied, "the credentials are not believed"},
    AwsErrorMeaning{"AuthFailure.ServiceLinkedRoleCreationNotPermitted", Denied, "the Spot role is missing"},
    AwsErrorMeaning{"SignatureDoesNotMatch", Denied, "the secret key is wrong, or our clock is"},
    AwsErrorMeaning{"IncompleteSignature", Denied, "the endpoint does not understand our signature"},
    AwsErrorMeaning{"InvalidClientTokenId", Denied, "no such access key"},
    AwsErrorMeaning{"MissingAuthenticationToken", Denied, "the signature got lost on the way"},
    AwsErrorMeaning{"UnrecognizedClientException", Denied, "no such access key"},
    AwsErrorMeaning{"ExpiredToken", Denied, "the session has ended"},
    AwsErrorMeaning{"ExpiredTokenException", Denied, "the same"},
    AwsErrorMeaning{"RequestExpired", Denied, "our clock is behind"},
    AwsErrorMeaning{"RequestInTheFuture", Denied, "our clock is ahead"},
    AwsErrorMeaning{"OptInRequired", Denied, "the account has not subscribed to this image or service"},
    AwsErrorMeaning{"Blocked", Denied, "the account is blocked"},
    AwsErrorMeaning{"PendingVerification", Denied, "the account is being verified"},
    AwsErrorMeaning{"DryRunOperation", AlreadyExists, "it would have been allowed; nothing was done"},
    // Broken inside: a change may have happened (judge_ec2 makes Unknown of it).
    AwsErrorMeaning{"InternalError", Unavailable, "EC2's own fault"},
    AwsErrorMeaning{"InternalFailure", Unavailable, "the same"},
    AwsErrorMeaning{"ServiceUnavailable", Unavailable, "the same"},
    AwsErrorMeaning{"Unavailable", Unavailable, "the same"},
    AwsErrorMeaning{"Server.InternalError", Unavailable, "the same"},
};

}  // namespace

std::span<const AwsErrorMeaning> ec2_error_table() {
  return kTable;
}

ErrorKind judge_ec2(const AwsFault& fault, int status, AwsCallClass kind) {
  // Codes come with and without the side that made them: "Client.RequestLimitExceeded".
  std::string_view code = fault.code;
  for (const std::string_view side : {std::string_view("Client."), std::string_view("Server.")})
    if (code.starts_with(side) && code != "Server.InternalError") code.remove_prefix(side.size());
  const auto row = std::find_if(kTable.begin(), kTable.end(), [&](const auto& each) { return each.code == code; });
  ErrorKind found = Invalid;  // Invalid..., Missing..., Malformed...: asking again cannot help
  if (row != kTable.end())
    found = row->kind;
  else if (status == 429)
    found = Throttled;
  else if (status == 503 && code.empty())
    found = Throttled;  // a front before EC2 sheds load: nothing was done
  else if (status == 401 || status == 403)
    found = Denied;
  else if (status >= 500 || status < 200 || (status >= 300 && status < 400))
    found = Unavailable;
  if (found == Unavailable && kind == AwsCallClass::Change) return Unknown;
  return found;
}

}  // namespace escala
