// Histories in the store are bounded by age and number: records under "<prefix><name>/<moment, 20 digits>-...", oldest
// first in the order of their keys.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "store/store.h"

namespace escala {

// What to delete of one name's records: all but the newest `most`, and those of moments before `oldest`. Which name:
// the one whose keys come first after `cursor`. Moves `cursor` on, to "" after the last name, so that calling it now
// and then sweeps everything in equal small steps.
Result<Batch> sweep_history(const Store& store, std::string_view prefix, std::string& cursor, size_t most,
                            TimePoint oldest);

}  // namespace escala
