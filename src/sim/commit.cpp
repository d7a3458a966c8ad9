// The commit this program was built from, as the build tells it: for failures, so that they can be repeated.
#include "sim/campaign.h"

#ifndef ESCALA_COMMIT
#define ESCALA_COMMIT "unknown"
#endif

namespace escala::sim {

const char* built_from() {
  return ESCALA_COMMIT;
}

}  // namespace escala::sim
