// A file that says who is at work in a place, and keeps everybody else out.
#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace escala {

// Takes the lock (flock) and writes our pid into the file, made if need be. The kernel gives the lock back when we die,
// however we die; it is not inherited. Conflict: "<place> is locked by pid N". Unavailable: the file cannot be opened.
Result<Descriptor> take_lock_file(const std::string& path, const std::string& place);

}  // namespace escala
