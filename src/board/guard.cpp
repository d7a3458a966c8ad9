#include "board/guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

#include "board/layout.h"

namespace escala::board {
namespace {

// Read by the signal handler, hence atomics only. A place is taken by its `taken` flag, live once `end` is not 0.
struct Place {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0}, end{0};
  std::atomic<bool> writable{false}, hit{false};
};
std::array<Place, kMaxGuarded> g_places;
struct sigaction g_before;

bool repair(uintptr_t address) {
  for (Place& place : g_places) {
    const uintptr_t begin = place.begin.load(std::memory_order_relaxed);
    const uintptr_t end = place.end.load(std::memory_order_acquire);
    if (end == 0 || address < begin || address >= end) continue;
    // A file is cut at its end: all that follows the faulting page is gone too, and one mapping serves it all.
    const uintptr_t page = address & ~(uintptr_t{kPageBytes} - 1);
    const int rights = place.writable.load(std::memory_order_relaxed) ? PROT_READ | PROT_WRITE : PROT_READ;
    // The bare system call: libraries wrap mmap in ways that are not safe in a handler.
    const auto got = syscall(SYS_mmap, page, end - page, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (got == -1) return false;
    place.hit.store(true, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const bool repaired = repair(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved;
  if (repaired) return;
  if ((g_before.sa_flags & SA_SIGINFO) != 0 && g_before.sa_sigaction != nullptr) {
    g_before.sa_sigaction(signal, info, context);
  } else if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) {
    g_before.sa_handler(signal);
  } else {
    // Not ours: as if we were not here. The access is repeated and ends the process.
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    sigaction(SIGBUS, &plain, nullptr);
  }
}

void install_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &g_before);
  });
}

}  // namespace

Guard::Guard(void* begin, size_t bytes, bool writable) {
  install_once();
  for (size_t i = 0; i < g_places.size(); ++i) {
    Place& place = g_places[i];
    if (place.taken.exchange(true)) continue;
    const auto from = reinterpret_cast<uintptr_t>(begin);
    place.hit.store(false, std::memory_order_relaxed);
    place.writable.store(writable, std::memory_order_relaxed);
    place.begin.store(from, std::memory_order_relaxed);
    place.end.store(from + bytes, std::memory_order_release);
    index_ = i;
    return;
  }
}

Guard::~Guard() {
  if (!active()) return;
  g_places[index_].end.store(0, std::memory_order_release);
  g_places[index_].taken.store(false);
}

bool Guard::hit() const {
  return active() && g_places[index_].hit.load(std::memory_order_relaxed);
}

}  // namespace escala::board
