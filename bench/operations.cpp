// The operations that are timed, without a framework that times them: the GPU kit has none.
#include "harness.hpp"

namespace plasticity::bench {
namespace {

std::vector<Operation>& all_operations() {
  static std::vector<Operation> all;
  return all;
}

}  // namespace

bool add_operation(Operation operation) {
  all_operations().push_back(std::move(operation));
  return true;
}

const std::vector<Operation>& operations() { return all_operations(); }

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu()};
  if (cuda_unavailable_reason().empty()) all.push_back(Device::cuda());
  return all;
}

std::string to_string(DeviceKind kind) { return kind == DeviceKind::cpu ? "cpu" : "cuda"; }

}  // namespace plasticity::bench
