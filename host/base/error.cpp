#include "plasticity/error.hpp"

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
  }
  return "unknown";
}

}  // namespace plasticity
