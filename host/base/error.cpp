#include "plasticity/error.hpp"

#include "base/throw_error.hpp"
#include "plasticity/owner.hpp"

namespace plasticity {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::invalid_spec: return "invalid_spec";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::device_unavailable: return "device_unavailable";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::io: return "io";
    case ErrorCode::format: return "format";
    case ErrorCode::communication: return "communication";
  }
  return "unknown";
}

void throw_moved_from(const char* name) {
  bad_argument(name, "an object that owns its data", "one that was moved from");
}

}  // namespace plasticity
