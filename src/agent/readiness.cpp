#include "agent/readiness.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.h"

namespace escala {

Readiness::Readiness(wire::EventLoop& loop, const wire::SocketAddress& address, std::function<void()> on_ready)
    : loop_(loop), address_(address), on_ready_(std::move(on_ready)) {
  log_info("agent", "nothing is reported until somebody listens at {}", address_.text());
  timer_ = loop_.after(Duration{0}, [this] { dial(); });
}

Readiness::~Readiness() {
  hang_up();
}

void Readiness::hang_up() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  if (fd_ < 0) return;
  loop_.forget(fd_);
  ::close(fd_);
  fd_ = -1;
}

void Readiness::again() {
  hang_up();
  timer_ = loop_.after(kReadyEvery, [this] { dial(); });
}

void Readiness::dial() {
  timer_.reset();
  fd_ = ::socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return again();
  loop_.watch(fd_, wire::EventLoop::kWrite, [this](uint32_t) { answered(); });
  if (::connect(fd_, address_.get(), address_.length) != 0 && errno != EINPROGRESS) return again();
  timer_ = loop_.after(kReadyTimeout, [this] { again(); });
}

void Readiness::answered() {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) return again();
  // Two ports of one machine may meet in the middle: nobody listened, and we were given the very port that we dial.
  wire::SocketAddress own;
  own.length = sizeof own.storage;
  if (::getsockname(fd_, own.get(), &own.length) == 0 && own.text() == address_.text()) return again();
  hang_up();
  ready_ = true;
  log_info("agent", "somebody listens at {}", address_.text());
  std::exchange(on_ready_, nullptr)();
}

}  // namespace escala
