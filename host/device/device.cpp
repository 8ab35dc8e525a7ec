#include "plasticity/device.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/log.hpp"
#include "base/throw_error.hpp"
#include "device/cuda_api.hpp"
#include "device/isa.hpp"

namespace plasticity {
namespace {

constexpr int max_threads = 1024;

int default_threads() {
  if (const char* value = std::getenv("PLASTICITY_THREADS"); value != nullptr && *value != '\0') {
    int threads = 0;
    const char* end = value + std::strlen(value);
    const auto [stop, error] = std::from_chars(value, end, threads);
    if (error != std::errc() || stop != end || threads < 1 || threads > max_threads) {
      bad_argument("PLASTICITY_THREADS", str_cat("a number from 1 to ", max_threads),
                   str_cat('\'', value, '\''));
    }
    return threads;
  }
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, unsigned{max_threads}));
}

}  // namespace

Device Device::best() {
  std::string reason = cuda_unavailable_reason();
  if (reason.empty()) reason = cuda_api()->unusable_reason(0);
  const Device device = reason.empty() ? cuda(0) : cpu();
  log(Verbosity::info, [&] {
    return str_cat("device: ", device.name(), reason.empty() ? "" : str_cat(" (CUDA: ", reason, ")"));
  });
  return device;
}

Device Device::cpu(int threads) {
  if (threads < 0 || threads > max_threads) {
    bad_argument("threads", str_cat("0 to ", max_threads), str_cat(threads));
  }
  return Device(DeviceKind::cpu, threads == 0 ? default_threads() : threads, 0);
}

Device Device::cuda(int index) {
  if (index < 0) bad_argument("index", "at least 0", str_cat(index));
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    throw_error(ErrorCode::device_unavailable, str_cat("Device::cuda(", index, ")"), "a CUDA device", reason);
  }
  if (const std::string reason = cuda_api()->unusable_reason(index); !reason.empty()) {
    throw_error(ErrorCode::device_unavailable, str_cat("Device::cuda(", index, ")"),
                "a device that the kernels run on", reason);
  }
  return Device(DeviceKind::cuda, 0, index);
}

std::string Device::name() const {
  if (kind_ == DeviceKind::cuda) return str_cat("cuda ", index_, ", ", cuda_api()->device_name(index_));
  return str_cat("cpu, ", threads_, threads_ == 1 ? " thread, " : " threads, ", cpu_instruction_set());
}

std::string cuda_unavailable_reason() {
  if (cuda_api() == nullptr)
    return "this build has no CUDA kernels, or the program does not link plasticity::cuda";
  return cuda_api()->unavailable_reason();
}

std::string cpu_instruction_set() { return cpu::to_string(cpu::instruction_set()); }

}  // namespace plasticity
