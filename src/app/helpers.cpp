#include "app/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "api/ec2_templates.h"
#include "base/log.h"
#include "base/random.h"
#include "notify/courier.h"
#include "traffic/keeper.h"

namespace escala::app {
namespace {

constexpr Duration kNoticePeriod{250ms};
constexpr Duration kHistoryPeriod{1s};
constexpr size_t kSecretBytes = 32;

// The secret of this manager, one line of hex. Receivers are given it to check signatures with.
Result<std::string> notify_secret(const std::string& path) {
  const auto fail = [&](const char* what) {
    return Error{ErrorKind::Unavailable, fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
  };
  std::ifstream file(path);
  std::string secret;
  if (file && std::getline(file, secret) && !secret.empty()) return secret;
  secret = secret_hex(kSecretBytes);
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail("cannot be made");
  const std::string line = secret + "\n";
  const bool written = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
  close(fd);
  if (!written || rename(fresh.c_str(), path.c_str()) != 0) return fail("cannot be written");
  return secret;
}

class Threads final : public Helpers {
 public:
  ~Threads() override { stop(); }

  void run(Duration period, std::function<void()> work) {
    threads_.emplace_back([this, period, work = std::move(work)] {
      std::unique_lock lock(mutex_);
      while (!stopping_) {
        lock.unlock();
        work();
        lock.lock();
        wake_.wait_for(lock, period, [&] { return stopping_; });
      }
    });
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Helpers>> start_helpers(Store& store, const SystemClock& clock, HelperOptions options) {
  ESCALA_ASSIGN(const std::string secret, notify_secret(options.state_dir + "/notify.key"));
  auto threads = std::make_unique<Threads>();
  const auto courier = std::make_shared<notify::Courier>(store, secret);
  threads->run(kNoticePeriod, [courier, &clock] { courier->round(clock.now(), clock.wall_now()); });
  if (history::History* history = options.history; history != nullptr)
    threads->run(kHistoryPeriod, [history, &clock] { (void)history->tend(clock.now()); });  // says itself what fails
  if (options.balancer) {
    const auto keeper = std::make_shared<traffic::Keeper>(store, std::move(options.balancer));
    threads->run(options.balancer_period, [keeper, &clock] { keeper->tend(clock.now()); });
  }
  if (options.ec2_templates) threads->run(api::kEc2TemplatePeriod, std::move(options.ec2_templates));
  return std::unique_ptr<Helpers>(std::move(threads));
}

}  // namespace escala::app
