// Reading and writing one cell of the board: a sequence lock whose data are relaxed atomics, so that a reader beside a
// writer is no data race (and ThreadSanitizer can say so).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "board/layout.h"

namespace escala::board {

// A writer that died in mid-write leaves an odd sequence behind; a reader must not wait for it.
inline constexpr int kMaxAttempts = 64;

enum class CellState : uint8_t { Whole, Empty, Torn, Damaged };

inline void pause_a_moment() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Begins a write; end_write() with what this returned ends it. Never gives 0, which means "never written".
inline uint32_t begin_write(std::atomic<uint32_t>& sequence) {
  const uint32_t odd = sequence.load(std::memory_order_relaxed) | 1u;
  sequence.store(odd, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  return odd + 1 == 0 ? 2 : odd + 1;
}
inline void end_write(std::atomic<uint32_t>& sequence, uint32_t even) {
  sequence.store(even, std::memory_order_release);
}

template <size_t kWords>
void write_cell(Cell<kWords>& cell, const std::array<uint64_t, kWords>& words, uint32_t place) {
  const uint32_t even = begin_write(cell.sequence);
  for (size_t i = 0; i < kWords; ++i) cell.words[i].store(words[i], std::memory_order_relaxed);
  cell.check.store(check_words(words, place), std::memory_order_relaxed);
  end_write(cell.sequence, even);
}

// copy(even sequence) copies the data and says whether its check holds. Torn: it moved at every attempt, or stayed odd.
template <typename Copy>
CellState read_locked(const std::atomic<uint32_t>& sequence, Copy copy) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const uint32_t before = sequence.load(std::memory_order_acquire);
    if (before == 0) return CellState::Empty;
    if ((before & 1) != 0) {
      pause_a_moment();
      continue;
    }
    const bool whole = copy(before);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (sequence.load(std::memory_order_relaxed) == before) return whole ? CellState::Whole : CellState::Damaged;
  }
  return CellState::Torn;
}

template <size_t kWords>
CellState read_cell(const Cell<kWords>& cell, std::array<uint64_t, kWords>& words, uint32_t place) {
  return read_locked(cell.sequence, [&](uint32_t) {
    for (size_t i = 0; i < kWords; ++i) words[i] = cell.words[i].load(std::memory_order_relaxed);
    return cell.check.load(std::memory_order_relaxed) == check_words(words, place);
  });
}

}  // namespace escala::board
