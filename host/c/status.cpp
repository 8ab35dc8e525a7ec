#include "c/status.hpp"

#include <cstdio>
#include <string>
#include <string_view>

#include "plasticity/version.hpp"

namespace plasticity::c {
namespace {

// This thread's last error. They have no destructors, so that exit handlers can use them.
thread_local const char* last_message = "";  // the text, short_text, or a literal
thread_local std::uint64_t error_count = 0;
thread_local bool has_ended = false;  // the text has been destroyed, because the thread ends
thread_local char short_text[512];    // the message, perhaps cut, after the text has been destroyed

void keep_short(const char* message) noexcept {
  std::snprintf(short_text, sizeof short_text, "%s", message);
  last_message = short_text;
}

struct LastText {
  std::string text;

  ~LastText() {
    keep_short(last_message);
    has_ended = true;
  }
};
thread_local LastText last_text;

}  // namespace

plasticity_status store_error(plasticity_status status, const char* message) noexcept {
  ++error_count;
  if (has_ended) {
    keep_short(message);
    return status;
  }
  try {
    last_text.text = message;
    last_message = last_text.text.c_str();
  } catch (...) {
    last_message = "host memory: allocation of an error message failed";
  }
  return status;
}

std::uint64_t stored_errors() noexcept { return error_count; }

plasticity_status status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return PLASTICITY_INVALID_ARGUMENT;
    case ErrorCode::invalid_spec: return PLASTICITY_INVALID_SPEC;
    case ErrorCode::unsupported: return PLASTICITY_UNSUPPORTED;
    case ErrorCode::device_unavailable: return PLASTICITY_DEVICE_UNAVAILABLE;
    case ErrorCode::out_of_memory: return PLASTICITY_OUT_OF_MEMORY;
    case ErrorCode::io: return PLASTICITY_IO;
    case ErrorCode::format: return PLASTICITY_FORMAT;
    case ErrorCode::communication: return PLASTICITY_COMMUNICATION;
  }
  return PLASTICITY_INTERNAL;
}

}  // namespace plasticity::c

const char* plasticity_status_name(plasticity_status status) {
  switch (status) {
    case PLASTICITY_OK: return "ok";
    case PLASTICITY_INVALID_ARGUMENT: return "invalid_argument";
    case PLASTICITY_INVALID_SPEC: return "invalid_spec";
    case PLASTICITY_UNSUPPORTED: return "unsupported";
    case PLASTICITY_DEVICE_UNAVAILABLE: return "device_unavailable";
    case PLASTICITY_OUT_OF_MEMORY: return "out_of_memory";
    case PLASTICITY_IO: return "io";
    case PLASTICITY_FORMAT: return "format";
    case PLASTICITY_INTERNAL: return "internal";
    case PLASTICITY_COMMUNICATION: return "communication";
  }
  return "(no such status)";
}

const char* plasticity_last_error(void) { return plasticity::c::last_message; }

const char* plasticity_version(void) { return plasticity::version(); }

size_t plasticity_struct_size(const char* name) {
  struct Struct {
    std::string_view name;
    size_t bytes;
  };
#define PLASTICITY_STRUCT(type) \
  Struct { #type, sizeof(type) }
  static constexpr Struct structs[] = {
      PLASTICITY_STRUCT(plasticity_device),          PLASTICITY_STRUCT(plasticity_dtype),
      PLASTICITY_STRUCT(plasticity_tensor),          PLASTICITY_STRUCT(plasticity_argument),
      PLASTICITY_STRUCT(plasticity_memory),          PLASTICITY_STRUCT(plasticity_spec),
      PLASTICITY_STRUCT(plasticity_plan_options),    PLASTICITY_STRUCT(plasticity_plan_needs),
      PLASTICITY_STRUCT(plasticity_network_options), PLASTICITY_STRUCT(plasticity_parameter),
      PLASTICITY_STRUCT(plasticity_adam_options),    PLASTICITY_STRUCT(plasticity_trainer_options),
      PLASTICITY_STRUCT(plasticity_parameter_group), PLASTICITY_STRUCT(plasticity_optimizer_options),
      PLASTICITY_STRUCT(plasticity_stack_layer),     PLASTICITY_STRUCT(plasticity_module)};
#undef PLASTICITY_STRUCT
  for (const Struct& each : structs) {
    if (name != nullptr && each.name == name) return each.bytes;
  }
  return 0;
}
