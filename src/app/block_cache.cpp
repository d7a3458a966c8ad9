#include "app/block_cache.h"

#include <unistd.h>

#include <cstdlib>

#include "app/children.h"

namespace escala::app {

void widen_block_cache(const std::vector<std::string>& arguments) {
  constexpr const char* kName = "GLIBC_TUNABLES";
  if (std::getenv(kName) != nullptr || setenv(kName, kBlockCacheTunable, 0) != 0) return;
  std::vector<std::string> words{own_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
}

}  // namespace escala::app
