// The baseline of a C++ program: whole-tensor operations as plain loops.
#include "loops.hpp"
#include "register.hpp"

namespace plasticity::bench::baseline {
namespace {

class LoopsSequence {
 public:
  LoopsSequence(const Spec& spec, std::int64_t steps, std::int64_t batch, Device device)
      : operations_(device.threads()), sequence_(spec, steps, batch, operations_) {}
  void forward(const ForwardArgs<float>& args) { sequence_.forward(args); }
  void backward(const BackwardArgs<float>& args) { sequence_.backward(args); }

 private:
  Loops operations_;
  Sequence<Loops> sequence_;
};

const bool added = add_baseline<LoopsSequence>("loops", DeviceKind::cpu);

}  // namespace
}  // namespace plasticity::bench::baseline
