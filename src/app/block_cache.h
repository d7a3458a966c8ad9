// How control's allocator is set up. A decision takes and frees hundreds of small blocks, and the next group's takes
// them again; glibc keeps seven of each size at hand and searches and merges the rest. Keeping more halves the CPU of a
// steady fleet (docs/benchmarks.md, Control).
#pragma once

#include <string>
#include <vector>

namespace escala::app {

inline constexpr const char* kBlockCacheTunable =
    "glibc.malloc.tcache_count=4000";  // blocks kept of each size, a thread

// Starts this program anew with that setting, which glibc reads at the start alone: same process id, `arguments`
// without the program's name. Returns, having done nothing, where GLIBC_TUNABLES is set already, by us or by people who
// know better, and where it cannot be done. Call it first, before threads and files.
void widen_block_cache(const std::vector<std::string>& arguments);

}  // namespace escala::app
