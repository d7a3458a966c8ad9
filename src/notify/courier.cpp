#include "notify/courier.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <memory>

#include "base/log.h"
#include "store/notice.h"
#include "store/records.h"

namespace escala::notify {
namespace {

constexpr size_t kMaxErrorText = 300;

// The answer's body is nobody's business here, and may be endless.
size_t swallow(const char*, size_t size, size_t count, void* taken) {
  size_t& sum = *static_cast<size_t*>(taken);
  sum += size * count;
  return sum > (64U << 10U) ? 0 : size * count;
}

}  // namespace

Duration retry_after(int attempts) {
  Duration wait = kRetryFirst;
  for (int i = 1; i < attempts && wait < kRetryCap; ++i) wait *= 2;
  return std::min(wait, kRetryCap);
}

std::string body_of(const state::Notice& notice) {
  return to_json({{"Type", "Notification"},
                  {"MessageId", notice.id()},
                  {"TopicArn", notice.topic()},
                  {"Subject", notice.subject()},
                  {"Message", notice.message()},
                  {"Timestamp", iso8601(from_us(notice.at()))}});
}

std::string signature(const std::string& secret, int64_t seconds, const std::string& body) {
  const std::string text = fmt::format("{}.{}", seconds, body);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return fmt::format("t={},v1={}", seconds, hex);
}

Courier::Courier(Store& store, std::string secret)
    : store_(store), secret_(std::move(secret)), curl_(curl_easy_init()) {}

Courier::~Courier() {
  curl_easy_cleanup(curl_);
}

Status Courier::deliver(const state::Notice& notice, TimePoint wall_now) {
  if (curl_ == nullptr) return Error{ErrorKind::Unavailable, "libcurl cannot be used"};
  curl_easy_reset(curl_);
  const std::string body = body_of(notice);
  const int64_t seconds = to_us(wall_now) / 1'000'000;
  curl_slist* list = nullptr;
  for (const std::string& line :
       {std::string("Content-Type: text/plain; charset=UTF-8"), std::string("x-amz-sns-message-type: Notification"),
        "x-amz-sns-message-id: " + notice.id(), std::string("Expect:"),
        "X-Escala-Signature: " + signature(secret_, seconds, body)})
    list = curl_slist_append(list, line.c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);
  size_t taken = 0;
  curl_easy_setopt(curl_, CURLOPT_URL, notice.topic().c_str());
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, "escala");
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, static_cast<long>(kDeliveryTimeout / 1ms));
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, swallow);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &taken);
  const CURLcode code = curl_easy_perform(curl_);
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  // Told by the status line: what comes after it may break off as it likes.
  if (status >= 200 && status < 300) return {};
  if (code != CURLE_OK) return Error{ErrorKind::Unavailable, curl_easy_strerror(code)};
  return Error{ErrorKind::Unavailable, fmt::format("HTTP {}", status)};
}

void Courier::bury(Batch& batch, const state::Notice& notice) {
  batch.put(keys::dead_notice(from_us(notice.at()), notice.id()), notice.SerializeAsString());
  const auto dead = store_.scan(keys::kDeadNotices);
  if (!dead.ok()) return;
  for (size_t i = 0; i + kMaxDeadNotices <= dead->size(); ++i) batch.erase((*dead)[i].key);
}

void Courier::settle(const Record& record, state::Notice notice, const Status& outcome, TimePoint now) {
  Batch batch;
  batch.durability = Durability::Lazy;
  if (outcome.ok()) {
    batch.erase(record.key);
  } else {
    notice.set_attempts(notice.attempts() + 1);
    notice.set_last_error(outcome.error().message.substr(0, kMaxErrorText));
    if (notice.attempts() >= kMaxDeliveries) {
      log_warning("notify", "notification {} to {} is given up after {} tries: {}", notice.id(), notice.topic(),
                  notice.attempts(), notice.last_error());
      batch.erase(record.key);
      bury(batch, notice);
    } else {
      notice.set_retry_at(to_us(now + retry_after(notice.attempts())));
      batch.put(record.key, notice.SerializeAsString());
    }
  }
  if (const auto done = store_.commit(batch); !done.ok()) log_warning("notify", "{}", done.error().message);
}

// A queue that nobody empties ends somewhere: the oldest go to the dead ones, whose number is bounded too.
void Courier::bound(const std::vector<Record>& queue) {
  if (queue.size() <= kMaxNotices) return;
  Batch batch;
  batch.durability = Durability::Lazy;
  for (size_t i = 0; i < queue.size() - kMaxNotices && i < kMaxBatchWrites; ++i) batch.erase(queue[i].key);
  log_warning("notify", "{} notifications wait, the most is {}: the oldest are dropped", queue.size(), kMaxNotices);
  if (const auto done = store_.commit(batch); !done.ok()) log_warning("notify", "{}", done.error().message);
}

size_t Courier::round(TimePoint now, TimePoint wall_now) {
  const auto queue = store_.scan(keys::kNotices);
  if (!queue.ok()) return 0;
  bound(*queue);
  std::set<std::string> failed;  // topics that did not answer in this round are left in peace for the rest of it
  size_t tried = 0;
  for (const Record& record : *queue) {
    if (tried == kDeliveriesPerRound) break;
    state::Notice notice;
    if (!notice.ParseFromString(record.value)) {
      Batch batch;
      batch.durability = Durability::Lazy;
      batch.erase(record.key);
      (void)store_.commit(batch);
      continue;
    }
    if (from_us(notice.retry_at()) > now || failed.contains(notice.topic())) continue;
    ++tried;
    const Status outcome = deliver(notice, wall_now);
    if (!outcome.ok()) failed.insert(notice.topic());
    settle(record, std::move(notice), outcome, now);
  }
  return queue->size();
}

}  // namespace escala::notify
