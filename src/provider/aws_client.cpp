#include "provider/aws_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "base/log.h"

namespace escala {
namespace {

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

// Codes that say: these credentials do not work (any more), perhaps others do.
constexpr std::array<std::string_view, 5> kStaleCredentials = {
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"};
// Codes that a wrong clock causes.
constexpr std::array<std::string_view, 4> kWrongClock = {"RequestExpired", "RequestInTheFuture",
                                                         "SignatureDoesNotMatch", "AuthFailure"};
template <size_t N>
bool among(const std::array<std::string_view, N>& list, std::string_view code) {
  return std::find(list.begin(), list.end(), code) != list.end();
}

constexpr size_t kMaxFaultText = 400;

}  // namespace

Duration RateBucket::reserve(Duration now) {
  if (at_ != Duration{0} && now > at_) tokens_ = std::min(burst_, tokens_ + seconds(now - at_) * per_second_);
  at_ = std::max(at_, now);
  tokens_ -= 1;
  return tokens_ >= 0 ? Duration{0} : from_seconds(-tokens_ / per_second_);
}

AwsFault parse_fault(const std::string& body) {
  AwsFault fault;
  auto document = XmlDocument::parse(body);
  if (!document.ok()) return fault;
  const XmlElement root = document->root();
  // EC2: Response/Errors/Error; the newer services: ErrorResponse/Error.
  XmlElement error = root.at("Errors/Error");
  if (!error) error = root.child("Error");
  fault.code = error.get("Code");
  fault.message = error.get("Message");
  fault.request_id = root.get("RequestID");
  if (fault.request_id.empty()) fault.request_id = root.get("RequestId");
  return fault;
}

AwsClient::AwsClient(AwsClientOptions options, std::shared_ptr<HttpClient> http,
                     std::shared_ptr<AwsCredentialsSource> source, std::shared_ptr<const Clock> clock)
    : options_(std::move(options)),
      http_(std::move(http)),
      source_(std::move(source)),
      clock_(std::move(clock)),
      random_(options_.seed),
      reads_(options_.reads_per_second, options_.read_burst),
      changes_(options_.changes_per_second, options_.change_burst) {}

AwsCounters AwsClient::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

int64_t AwsClient::aws_now() const {
  const std::lock_guard lock(mutex_);
  const auto now = clock_->wall_now().time_since_epoch() + counters_.skew;
  return std::chrono::floor<std::chrono::seconds>(now).count();
}

void AwsClient::wait_for_room(AwsCallClass kind) {
  Duration wait{0};
  {
    const std::lock_guard lock(mutex_);
    wait = (kind == AwsCallClass::Read ? reads_ : changes_).reserve(steady_now());
    ++counters_.calls;
  }
  if (wait > Duration{0}) std::this_thread::sleep_for(wait);
}

bool AwsClient::take_retry_token() {
  const std::lock_guard lock(mutex_);
  if (retry_tokens_ < 1) return false;
  retry_tokens_ -= 1;
  ++counters_.retries;
  return true;
}

Duration AwsClient::jittered(int tries) {
  const std::lock_guard lock(mutex_);
  Duration most = kRetryFirst;
  for (int i = 1; i < tries && most < kRetryMost; ++i) most *= 2;
  return from_seconds(random_.between(0, seconds(std::min(most, kRetryMost))));
}

// AWS says in every answer what time it is. True when that changes what we believe.
bool AwsClient::note_date(const HttpAnswer& answer) {
  const auto date = answer.headers.find("date");
  if (date == answer.headers.end()) return false;
  const time_t theirs = curl_getdate(date->second.c_str(), nullptr);
  if (theirs <= 0) return false;
  const auto ours = clock_->wall_now().time_since_epoch();
  const Duration skew = std::chrono::seconds(theirs) - std::chrono::floor<std::chrono::seconds>(ours);
  const std::lock_guard lock(mutex_);
  const Duration before = counters_.skew;
  const Duration now = std::chrono::abs(skew) < kSkewTolerated / 2 ? Duration{0} : skew;
  if (std::chrono::abs(now - before) < kSkewTolerated / 2) return false;
  counters_.skew = now;
  log_warning("aws", "our clock differs from {}'s by {}; requests are signed with theirs", options_.scope.service,
              to_text(std::chrono::abs(skew)));
  return true;
}

AwsClient::Attempt AwsClient::attempt(const std::string& body, AwsCallClass kind, bool refresh) {
  const auto failed = [](Error error) { return Attempt{std::move(error), {}, 0, false}; };
  auto credentials = source_->get(refresh);
  if (!credentials.ok()) return failed(credentials.error());
  SignedRequest form;
  form.host = host_of_url(options_.endpoint);
  form.body = body;
  form.headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8";
  sign(form, *credentials, options_.scope, aws_now());
  HttpRequest request;
  request.method = "POST";
  request.url = options_.endpoint + (options_.endpoint.ends_with('/') ? "" : "/");
  request.body = std::move(form.body);
  request.headers = std::move(form.headers);
  request.timeout = options_.timeout;
  auto answer = http_->send(request);
  if (!answer.ok()) {
    // A read has no outcome that could be unknown.
    Error error = answer.error();
    if (kind == AwsCallClass::Read && error.kind == ErrorKind::Unknown) error.kind = ErrorKind::Unavailable;
    return failed(std::move(error));
  }
  const bool other_time = note_date(*answer);
  if (answer->status == 200) {
    auto document = XmlDocument::parse(std::move(answer->body));
    if (document.ok()) return Attempt{std::move(document).value(), {}, 200, false};
    return Attempt{Error{kind == AwsCallClass::Read ? ErrorKind::Unavailable : ErrorKind::Unknown,
                         "the answer cannot be read: " + document.error().message},
                   {},
                   200,
                   false};
  }
  Attempt out = failed({ErrorKind::Bug, ""});
  out.status = answer->status;
  out.fault = parse_fault(answer->body);
  const std::string told = out.fault.code.empty()
                               ? fmt::format("HTTP {}", answer->status)
                               : fmt::format("{}: {}", out.fault.code, out.fault.message.substr(0, kMaxFaultText));
  out.outcome = Error{options_.judge(out.fault, answer->status, kind), told};
  const bool stale = among(kStaleCredentials, out.fault.code) && !refresh;
  const bool late = among(kWrongClock, out.fault.code) && other_time;
  out.again_at_once = late || stale;
  if (stale && !late) {
    const std::lock_guard lock(mutex_);
    ++counters_.refreshed;
  }
  return out;
}

Result<XmlDocument> AwsClient::call(const std::string& action, const AwsParams& params, AwsCallClass kind,
                                    AwsFault* fault) {
  std::string body = fmt::format("Action={}&Version={}", form_encode(action), form_encode(options_.version));
  for (const auto& [name, value] : params) body += fmt::format("&{}={}", form_encode(name), form_encode(value));
  bool refresh = false;
  int free_tries = 2;  // with other credentials, and with another clock
  bool maybe_done = false;
  for (int tries = 1;; ++tries) {
    wait_for_room(kind);
    Attempt one = attempt(body, kind, refresh);
    if (one.outcome.ok()) {
      const std::lock_guard lock(mutex_);
      retry_tokens_ = std::min(kRetryTokens, retry_tokens_ + kRetryRefund);
      return std::move(one.outcome);
    }
    Error error = one.outcome.error();
    if (one.again_at_once && free_tries-- > 0) {
      refresh = among(kStaleCredentials, one.fault.code);
      --tries;
      continue;
    }
    if (error.kind == ErrorKind::Throttled) {
      const std::lock_guard lock(mutex_);
      ++counters_.throttled;
    }
    maybe_done = maybe_done || error.kind == ErrorKind::Unknown;
    const bool worth_it =
        error.kind == ErrorKind::Throttled || error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::Unknown;
    if (!worth_it || tries >= kMaxTries || !take_retry_token()) {
      const std::lock_guard lock(mutex_);
      ++counters_.failed;
      // One of the tries may have been carried out although the last one surely was not.
      if (maybe_done && (error.kind == ErrorKind::Throttled || error.kind == ErrorKind::Unavailable))
        error.kind = ErrorKind::Unknown;
      if (fault != nullptr) *fault = std::move(one.fault);
      return error.in(action);
    }
    std::this_thread::sleep_for(jittered(tries));
  }
}

}  // namespace escala
