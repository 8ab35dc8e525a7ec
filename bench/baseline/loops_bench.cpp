// Whole-tensor operations as plain loops: what a C++ program would do without the library.
#include "loops.hpp"
#include "register.hpp"

namespace plasticity::bench::baseline {
namespace {

struct LoopsOnDevice : Loops {
  explicit LoopsOnDevice(Device device) : Loops(device.threads()) {}
};

const bool added = add_baseline<LoopsOnDevice>("loops", DeviceKind::cpu);

}  // namespace
}  // namespace plasticity::bench::baseline
